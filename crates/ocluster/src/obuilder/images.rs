//! `obuilder image`: base images that are imported by hand.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use oci::{Import, Imported, Library, Platform};

use super::output::OutputArgs;
use super::store_args::{StoreArgs, library};
use crate::json::obuilder::{Image, Images};
use cli::capability_args::require_file;
use cli::error::CommandError;
use cli::human::table;
use cli::quote::quoted;
use cli::status_line::StatusLine;
use visible::Size;

/// List, import or remove base images
///
/// Imported images need no registry and no Docker engine.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the imported images
    Ls {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Import an image, for specs with (from NAME)
    ///
    /// PATH is an archive made by docker save, an OCI layout, an archive of a root filesystem, or a directory.
    Import {
        /// Name of the image in specs
        #[arg(value_name = "NAME")]
        name: String,
        /// Archive or directory
        #[arg(value_name = "PATH")]
        path: PathBuf,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove an imported image, but keep the results built from it
    Rm {
        /// Name of the image
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}

pub(super) async fn run(args: Args) -> Result<(), CommandError> {
    match args.command {
        Command::Ls { output, store } => {
            let store = store.read_store()?;
            let images = library(&*store).list().map_err(CommandError::caused)?;
            output.print(
                || text(&images),
                || Images {
                    images: images.iter().map(image_json).collect(),
                },
            )
        }
        Command::Import { name, path, store } => {
            require_file(&path, "argument PATH")?;
            let store = store.read_store()?;
            let library = library(&*store);
            let status = StatusLine::on_terminal();
            status.show(&format!("Importing {}", path.display()));
            let importing = tokio::task::spawn_blocking(move || import(&library, &name, path));
            let image = importing.await.map_err(CommandError::caused)??;
            status.clear();
            cli::print::print_line(format_args!(
                "Imported {} ({}, {})",
                image.name,
                image.kind,
                Size(image.size)
            ))
        }
        Command::Rm { name, store } => {
            let store = store.read_store()?;
            let removed = library(&*store).remove(&name);
            match removed.map_err(CommandError::caused)? {
                true => Ok(()),
                false => Err(CommandError::failed(format_args!(
                    "there is no imported image {}",
                    quoted(&name)
                ))
                .hint("run `obuilder image ls` for a list")),
            }
        }
    }
}

fn import(library: &Library, name: &str, path: PathBuf) -> Result<Imported, CommandError> {
    let import = Import {
        name,
        path: &path,
        platform: &Platform::here(),
        when: Timestamp::now().to_string(),
    };
    library.import(&import).map_err(CommandError::caused)
}

fn text(images: &[Imported]) -> String {
    let heading = ["IMAGE", "SIZE", "IMPORTED", "FROM"].map(str::to_owned);
    let mut rows = vec![heading.to_vec()];
    for image in images {
        rows.push(vec![
            image.name.clone(),
            Size(image.size).to_string(),
            image.when.clone(),
            format!("{} ({})", image.source, image.kind),
        ]);
    }
    table(&rows)
}

fn image_json(image: &Imported) -> Image {
    let Imported {
        name,
        source,
        kind,
        digest,
        size,
        when,
    } = image;
    Image {
        name: name.clone(),
        source: source.clone(),
        kind: kind.clone(),
        digest: digest.to_string(),
        size: *size,
        imported: when.clone(),
    }
}
