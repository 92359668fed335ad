//! `ocluster-admin`: shows and changes the state of a scheduler, through its `admin.cap`.

mod add_client;
mod audit;
mod cancel;
mod drain;
mod exec;
mod forget;
pub(crate) mod inactivity;
mod jobs;
mod known;
mod list_clients;
mod note;
mod pause;
mod pause_request;
mod remove_client;
mod schedulers;
mod service;
mod set_rate;
mod show;
pub(crate) mod state;
mod step_down;
mod store;
mod update;
mod watch;
mod web;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use cli::capability_args::{CapFile, ConnectArgs, Positionals};
use cli::error::CommandError;
use cli::logging::{LoggingArgs, Verbosity};
use cli::output::{Format, OutputArgs};
use cli::program;

pub(crate) use jobs::known_job::KnownJob;
pub(crate) use jobs::show::text as job_text;
pub(crate) use show::worker_details;

const NAME: &str = "ocluster-admin";

/// Runs `ocluster-admin`.
pub fn main() -> ExitCode {
    program::run(NAME, run)
}

/// Manage an OCluster scheduler
///
/// Give the cap file, admin.cap, as the first argument of a command or with --connect.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    logging: LoggingArgs,
}

/// Options that every command has.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl Common {
    /// Takes the cap file from the options, or else from the first of `positionals`.
    fn split(&self, positionals: Vec<OsString>) -> Result<(CapFile, Positionals), CommandError> {
        self.connect.split(positionals)
    }

    fn format(&self) -> Format {
        self.output.output
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Args),
    // The aliases are prefixes that would otherwise be ambiguous with pause-worker, which upstream does not have.
    #[command(aliases = ["p", "pa", "pau", "paus"])]
    Pause(pause::PauseArgs),
    #[command(aliases = ["un", "unp", "unpa", "unpau", "unpaus"])]
    Unpause(pause::UnpauseArgs),
    PauseWorker(pause::PauseWorkerArgs),
    UnpauseWorker(pause::UnpauseWorkerArgs),
    Drain(drain::Args),
    Cancel(cancel::Args),
    Jobs(jobs::list::Args),
    Job(jobs::show::Args),
    JobLog(jobs::log::Args),
    Update(update::Args),
    #[command(aliases = ["a"])]
    AddClient(add_client::Args),
    RemoveClient(remove_client::Args),
    ListClients(list_clients::Args),
    SetRate(set_rate::Args),
    Forget(forget::Args),
    Exec(exec::Args),
    Audit(audit::Args),
    Web(web::Args),
    Schedulers(schedulers::Args),
    StepDown(step_down::Args),
    Store(store::Args),
}

async fn run(args: Args) -> Result<(), CommandError> {
    args.logging.start(Verbosity::Warning);
    let common = args.common;
    match args.command {
        Command::Show(args) => show::run(&common, args).await,
        Command::Pause(args) => pause::pause(&common, args).await,
        Command::Unpause(args) => pause::unpause(&common, args).await,
        Command::PauseWorker(args) => pause::pause_worker(&common, args).await,
        Command::UnpauseWorker(args) => pause::unpause_worker(&common, args).await,
        Command::Drain(args) => drain::run(&common, args).await,
        Command::Cancel(args) => cancel::run(&common, args).await,
        Command::Jobs(args) => jobs::list::run(&common, args).await,
        Command::Job(args) => jobs::show::run(&common, args).await,
        Command::JobLog(args) => jobs::log::run(&common, args).await,
        Command::Update(args) => update::run(&common, args).await,
        Command::AddClient(args) => add_client::run(&common, args).await,
        Command::RemoveClient(args) => remove_client::run(&common, args).await,
        Command::ListClients(args) => list_clients::run(&common, args).await,
        Command::SetRate(args) => set_rate::run(&common, args).await,
        Command::Forget(args) => forget::run(&common, args).await,
        Command::Exec(args) => exec::run(&common, args).await,
        Command::Audit(args) => audit::run(&common, args).await,
        Command::Schedulers(args) => schedulers::run(&common, args).await,
        Command::StepDown(args) => step_down::run(&common, args).await,
        Command::Store(args) => store::run(&common, args).await,
        Command::Web(args) => web::run(&common, args).await,
    }
}
