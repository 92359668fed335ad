//! `exec`: runs a command here, once for each worker of a pool.

use std::ffi::{OsStr, OsString};
use std::process::ExitStatus;

use super::service::{Service, failed};
use crate::capability_args::ConnectArgs;
use crate::error::CommandError;

/// Run a local command for every known worker of a pool in parallel
///
/// An argument that is {} is replaced by the worker's name. Put -- before a command that has options.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin exec [OPTIONS] [CAP] <POOL> [--] <CMD>...")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(connect: &ConnectArgs, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = connect.split(args.positionals)?;
    let pool = positionals.required("POOL")?;
    let command = positionals.rest_raw();
    if command.is_empty() {
        return Err(CommandError::usage("required argument CMD is missing"));
    }
    let service = Service::connect(&cap).await?;
    let workers = service
        .pool(&pool)
        .workers()
        .await
        .map_err(failed("PoolAdmin.workers"))?;
    // All are waited for, also when one fails: the others' output would else end in the middle.
    let runs = workers.iter().map(|worker| run_for(&command, &worker.name));
    let outcomes = futures::future::join_all(runs).await;
    outcomes.into_iter().collect()
}

async fn run_for(command: &[OsString], worker: &str) -> Result<(), CommandError> {
    let mut words = command.iter().map(|word| for_worker(word, worker));
    let program = words.next().unwrap_or_default();
    let status = tokio::process::Command::new(program)
        .args(words)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| {
            CommandError::failed(format_args!(
                "failed to run '{}': {error}",
                program.display()
            ))
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(CommandError::failed(describe(status)))
    }
}

fn for_worker<'a>(word: &'a OsStr, worker: &'a str) -> &'a OsStr {
    if word == "{}" {
        OsStr::new(worker)
    } else {
        word
    }
}

fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("Sub-process failed with exit code {code}"),
        None => format!("Sub-process failed: {status}"),
    }
}
