//! `ocluster`: tools to try the other programs out (`dev`), to check machines and clusters (`doctor`), to watch a
//! cluster (`top`), to measure schedulers (`bench`), and to package the programs (`generate`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, dev, doctor, generate, top};
use cli::error::CommandError;
use cli::logging::{LoggingArgs, Verbosity};
use cli::program;

const NAME: &str = "ocluster";

/// Runs `ocluster`.
pub fn main() -> ExitCode {
    // The built-in runtime is this program, started again for a single container.
    if let Some(code) = obuilder::sandbox::builtin::run_if_asked() {
        return code;
    }
    program::run(NAME, run)
}

/// Try, check, watch, measure or package OCluster
///
/// The programs for daily use are ocluster-scheduler, ocluster-worker, ocluster-client and ocluster-admin.
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
    Dev(Box<dev::Args>),
    Doctor(doctor::Args),
    Top(top::Args),
    Bench(bench::Args),
    Generate(generate::Args),
}

async fn run(args: Args) -> Result<(), CommandError> {
    match args.command {
        Command::Dev(command) => {
            args.logging.start(Verbosity::Info);
            dev::run(*command).await
        }
        Command::Doctor(command) => {
            args.logging.start(Verbosity::Warning);
            doctor::run(command).await
        }
        Command::Top(command) => {
            // Lines would be lost among the screens.
            args.logging.start(Verbosity::Warning);
            top::run(command).await
        }
        Command::Bench(command) => {
            args.logging.start(Verbosity::Warning);
            bench::run(command).await
        }
        Command::Generate(command) => generate::run(&command),
    }
}
