//! `ocluster-client`: submits jobs and shows their logs as they arrive; finds the jobs again that the scheduler keeps.

mod access;
mod cancel;
mod cancellation;
mod checks;
mod description;
mod durable_args;
mod events;
mod failures;
mod follow_events;
mod followed;
mod jobs;
mod log_tail;
mod logs;
mod notices;
mod observed;
mod retry;
mod share;
mod show_error;
mod status;
mod submit;
mod submit_custom;
mod submit_docker;
mod submit_obuilder;
mod verdict;
mod wait;
mod waiting;
mod watched;
mod web;

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
    Jobs(jobs::Args),
    Status(status::Args),
    Logs(logs::Args),
    Wait(wait::Args),
    Cancel(cancel::Args),
    Retry(retry::Args),
    Share(share::Args),
    Web(web::Args),
}

async fn run(args: Args) -> Result<(), CommandError> {
    args.logging.start(Verbosity::Warning);
    let (connect, format) = (&args.connect, args.output.output);
    let request = match args.command {
        Command::Docker(command) => command.request(connect)?,
        Command::OBuilder(command) => command.request(connect)?,
        Command::Custom(command) => command.request(connect)?,
        Command::Jobs(args) => return jobs::run(connect, args, format).await,
        Command::Status(args) => return status::run(connect, args, format).await,
        Command::Logs(args) => return logs::run(connect, args, format).await,
        Command::Wait(args) => return wait::run(connect, args, format).await,
        Command::Cancel(args) => return cancel::run(connect, args, format).await,
        Command::Retry(args) => return retry::run(connect, args, format).await,
        Command::Share(args) => return share::run(connect, args, format).await,
        Command::Web(args) => return web::run(connect, args, format).await,
    };
    submit::run(request, format).await
}

#[cfg(test)]
mod tests;
