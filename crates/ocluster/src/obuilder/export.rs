//! `obuilder export`: writes a result as an archive.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use oci::export::{Export, ExportError, write_image, write_tar};
use oci::{Platform, RunConfig};

use super::result_id::ResultId;
use super::sparse_file::SparseFile;
use super::store_args::{Purpose, StoreArgs};
use cli::error::CommandError;

/// Write the files of a result as an archive
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Id of the result
    #[arg(value_name = "ID")]
    id: ResultId,
    /// Format of the archive: tar or oci
    ///
    /// tar has only the files. oci is an image, as for docker load and podman load.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "tar",
        hide_possible_values = true
    )]
    format: Format,
    /// Name of the image, with --format=oci
    #[arg(long, value_name = "NAME:TAG")]
    name: Option<String>,
    /// File to write to [default: standard output]
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Tar,
    Oci,
}

pub(super) async fn run(args: Args) -> Result<(), CommandError> {
    if args.name.is_some() && args.format == Format::Tar {
        return Err(CommandError::usage("option '--name' requires --format=oci"));
    }
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(CommandError::usage(
            "cannot write an archive to a terminal; give a file with -o, or redirect standard output",
        ));
    }
    let builder = args.store.read(Purpose::Results)?;
    let id = args.id.find(&builder)?;
    let settings = builder.image_settings(&id).map_err(CommandError::caused)?;
    let config = match args.format {
        // An archive has no settings.
        Format::Tar => RunConfig::default(),
        Format::Oci => settings.config().map_err(CommandError::caused)?,
    };
    let view = builder.store().view(&id).await;
    let view = view.map_err(CommandError::caused)?;
    let content = Content {
        rootfs: view.rootfs().to_owned(),
        config,
        format: args.format,
        name: args.name,
        created_by: format!("obuilder {id}"),
    };
    let written = tokio::task::spawn_blocking(move || match args.output {
        Some(path) => content.write_file(&path),
        None => content.write(&mut io::stdout().lock()).map_err(failed),
    });
    written.await.map_err(CommandError::caused)?
}

/// The export, for another thread.
struct Content {
    rootfs: PathBuf,
    config: RunConfig,
    format: Format,
    name: Option<String>,
    created_by: String,
}

impl Content {
    /// Writes a file that gets its name when it is complete, so that no archive is incomplete.
    fn write_file(&self, path: &Path) -> Result<(), CommandError> {
        let cannot_write =
            |error: io::Error| CommandError::failed(format_args!("cannot write {path:?}: {error}"));
        let is_device = path.metadata().is_ok_and(|there| !there.is_file());
        if is_device {
            let device = File::options().write(true).open(path);
            return self
                .write(&mut device.map_err(cannot_write)?)
                .map_err(failed);
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let mut file = SparseFile::new(File::create(&part).map_err(cannot_write)?);
        let written = self
            .write(&mut file)
            .map_err(failed)
            .and_then(|()| std::fs::rename(&part, path).map_err(cannot_write));
        if written.is_err() {
            // The error is reported already.
            drop(std::fs::remove_file(&part));
        }
        written
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut out = BufWriter::with_capacity(1 << 20, out);
        match self.format {
            Format::Tar => write_tar(&self.rootfs, &mut out)?,
            Format::Oci => {
                let export = Export {
                    rootfs: &self.rootfs,
                    config: &self.config,
                    name: self.name.as_deref(),
                    platform: &Platform::here(),
                    created_by: &self.created_by,
                };
                write_image(&export, &mut out)?;
            }
        }
        out.flush().map_err(ExportError::Write)
    }
}

fn failed(error: ExportError) -> CommandError {
    match error {
        ExportError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            CommandError::from_output(&error)
        }
        error => CommandError::caused(error),
    }
}
