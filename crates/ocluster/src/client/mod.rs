//! `ocluster-client`: submits one job, shows its log as it arrives, and exits as the job ended.

mod checks;
mod description;
mod ending;
mod events;
mod log_tail;
mod observed;
mod show_error;
mod submit;
mod submit_custom;
mod submit_docker;
mod submit_obuilder;
mod waiting;
mod watched;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::logging::{LoggingArgs, Verbosity};
use cli::output::OutputArgs;
use cli::program;

const NAME: &str = "ocluster-client";

/// Runs `ocluster-client`.
pub fn main() -> ExitCode {
    program::run(NAME, run)
}

/// Submit jobs to an OCluster scheduler
///
/// Give your cap file, such as submission.cap, as the first argument of a command or with --connect.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    logging: LoggingArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(name = "submit-docker")]
    Docker(submit_docker::Args),
    #[command(name = "submit-obuilder")]
    OBuilder(submit_obuilder::Args),
    #[command(name = "submit-custom")]
    Custom(submit_custom::Args),
}

async fn run(args: Args) -> Result<(), CommandError> {
    args.logging.start(Verbosity::Warning);
    let request = match args.command {
        Command::Docker(command) => command.request(&args.connect)?,
        Command::OBuilder(command) => command.request(&args.connect)?,
        Command::Custom(command) => command.request(&args.connect)?,
    };
    submit::run(request, args.output.output).await
}

#[cfg(test)]
mod tests;
