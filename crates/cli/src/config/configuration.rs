//! Which configuration file is read.

use std::path::PathBuf;

use clap::{ArgMatches, Command};

use super::file::{self, File};
use super::options::{self, FILE_OPTION};
use super::sources::{ConfigSources, Source};
use crate::error::CommandError;

/// Which file is read.
pub(crate) enum Configuration {
    /// This one, for this reason.
    Read(File, Source),
    /// None: there is no default file at this path.
    None(PathBuf),
}

impl Configuration {
    /// Reads the file that the command line, a variable or else the default names.
    pub(super) fn read(
        program: &Command,
        matches: &ArgMatches,
        sources: &ConfigSources,
    ) -> Result<Self, CommandError> {
        let variable = options::variable(FILE_OPTION);
        let flag = matches
            .get_one::<PathBuf>(FILE_OPTION)
            .map(|path| (path.clone(), Source::Flag));
        let named = flag.or_else(|| {
            let path = sources.variable(&variable)?;
            Some((path.into(), Source::Variable(variable.clone())))
        });
        let (path, source) = match named {
            Some(named) => named,
            None => {
                let path = file::default_file(&sources.directory, program.get_name());
                (path, Source::Default)
            }
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error)
                if source == Source::Default && error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(Self::None(path));
            }
            Err(error) => {
                let named_by = match source {
                    Source::Variable(variable) => format!("variable {variable}"),
                    Source::Flag => "option '--config'".to_owned(),
                    _ => "the configuration".to_owned(),
                };
                return Err(CommandError::usage(format_args!(
                    "{named_by}: cannot read '{}': {error}",
                    path.display()
                ))
                .hint("to use no file, give --config=/dev/null"));
            }
        };
        Ok(Self::Read(File::parse(&path, &text, program)?, source))
    }
}
