//! `obuilder`: builds specs on this machine, and manages the results.

mod build;
mod caches;
mod clean;
mod console;
mod disk_usage;
mod dockerfile;
mod export;
mod healthcheck;
mod images;
mod key;
mod output;
mod result_id;
mod results;
mod shared_args;
mod shell;
mod sparse_file;
mod spec_file;
mod store_args;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cli::error::CommandError;
use cli::logging::{LoggingArgs, Verbosity};
use cli::program;

const NAME: &str = "obuilder";

/// Runs `obuilder`.
pub fn main() -> ExitCode {
    // The built-in runtime is this program, started again for a single container.
    if let Some(code) = ::obuilder::sandbox::builtin::run_if_asked() {
        return code;
    }
    program::run(NAME, run)
}

/// Build specs step by step, with every step cached
///
/// Results are kept in a store. Only one process at a time can build in a store or remove results. A worker uses its
/// store for as long as it runs; meanwhile, obuilder can still list, export and run its results.
///
/// An ID may be abbreviated to an unambiguous prefix.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logging: LoggingArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    Dockerfile(dockerfile::Args),
    Healthcheck(healthcheck::Args),
    Ls(results::ListArgs),
    Log(results::LogArgs),
    Export(export::Args),
    Shell(shell::Args),
    Delete(clean::DeleteArgs),
    Clean(clean::CleanArgs),
    Df(disk_usage::Args),
    Cache(caches::Args),
    Image(images::Args),
    Key(key::Args),
}

async fn run(args: Args) -> Result<(), CommandError> {
    args.logging.start(Verbosity::Warning);
    match args.command {
        Command::Build(command) => build::run(command).await,
        Command::Dockerfile(command) => dockerfile::run(&command),
        Command::Healthcheck(command) => healthcheck::run(command).await,
        Command::Ls(command) => results::list(command).await,
        Command::Log(command) => results::log(command).await,
        Command::Export(command) => export::run(command).await,
        Command::Shell(command) => shell::run(command).await,
        Command::Delete(command) => clean::delete(command).await,
        Command::Clean(command) => clean::clean(command).await,
        Command::Df(command) => disk_usage::run(&command),
        Command::Cache(command) => caches::run(command).await,
        Command::Image(command) => images::run(command).await,
        Command::Key(command) => key::run(&command),
    }
}
