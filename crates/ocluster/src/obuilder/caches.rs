//! `obuilder cache`: lists and removes the directories that steps share.

use clap::Subcommand;
use obuilder::store::CacheName;

use super::output::OutputArgs;
use super::store_args::StoreArgs;
use crate::json::obuilder::{Cache, Caches};
use cli::error::CommandError;
use cli::quote::quoted;

/// List or remove cache mounts
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cache mounts
    Ls {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Remove a cache mount; the next step that uses it gets an empty one
    Rm {
        /// Name of the cache mount, as in specs
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
            let mut caches = store.caches().map_err(CommandError::caused)?;
            caches.sort_unstable();
            let names = || caches.iter().map(|CacheName(name)| name.to_string());
            output.print(
                || names().map(|name| format!("{name}\n")).collect(),
                || Caches {
                    caches: names().map(|name| Cache { name }).collect(),
                },
            )
        }
        Command::Rm { name, store } => {
            let store = store.open_store()?;
            let cache = CacheName(name.as_str().into());
            let caches = store.caches().map_err(CommandError::caused)?;
            if !caches.contains(&cache) {
                return Err(CommandError::failed(format_args!(
                    "there is no cache mount {}",
                    quoted(&name)
                ))
                .hint("run `obuilder cache ls` for a list"));
            }
            let deleted = store.delete_cache(&cache).await;
            deleted.map_err(CommandError::caused)
        }
    }
}
