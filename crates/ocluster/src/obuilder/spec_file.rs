//! Reads the spec of a command.

use std::path::{Path, PathBuf};

use obuilder_spec::Spec;

use cli::capability_args::require_file;
use cli::error::CommandError;

/// The option for the spec.
#[derive(clap::Args, Debug)]
pub(super) struct SpecArgs {
    /// File with the spec
    #[arg(short, value_name = "FILE")]
    file: PathBuf,
}

impl SpecArgs {
    /// Reads the spec.
    pub(super) fn read(&self) -> Result<Spec, CommandError> {
        let text = read_file("-f", &self.file)?;
        let file = self.file.display().to_string();
        Spec::parse(&text, &file).map_err(|error| CommandError::failed(error.report()))
    }
}

/// Reads the file that `option` names.
pub(super) fn read_file(option: &str, path: &Path) -> Result<Vec<u8>, CommandError> {
    require_file(path, &format!("option '{option}'"))?;
    std::fs::read(path).map_err(|error| {
        CommandError::usage(format_args!(
            "option '{option}': cannot read '{}': {error}",
            path.display()
        ))
    })
}
