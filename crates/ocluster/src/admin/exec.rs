//! `exec`: runs a local command, once for each worker of a pool.

use std::ffi::{OsStr, OsString};
use std::process::{ExitStatus, Stdio};

use super::Common;
use super::service::{About, Service};
use crate::json::admin::{Executed, Run};
use cli::error::CommandError;
use cli::output::Format;
use cli::print::print_error;
use cli::quote::printable;

/// Run a local command for each worker of a pool, in parallel
///
/// The argument {} is replaced by the worker's name. Put -- before a command that has options.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin exec [OPTIONS] [CAP] <POOL> [--] <CMD>...")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let pool = positionals.required("POOL")?;
    let command = positionals.rest_raw();
    if command.is_empty() {
        return Err(CommandError::usage("required argument CMD is missing"));
    }
    let service = Service::connect(&cap).await?;
    let workers = match service.pool(&pool).workers().await {
        Ok(workers) => workers,
        Err(error) => {
            let about = About::pool(&pool);
            return Err(service.failed("PoolAdmin.workers", about, error).await);
        }
    };
    let output = || match common.format() {
        Format::Text => Stdio::inherit(),
        // Only JSON may be on standard output.
        Format::Json => Stdio::piped(),
    };
    // Waits for all, even if one fails: the output of the others would otherwise end in the middle.
    let runs = workers
        .iter()
        .map(|worker| run_for(&command, &worker.name, output()));
    let ended = futures::future::join_all(runs).await;
    let ended: Vec<RunOutcome> = ended.into_iter().collect::<Result<_, _>>()?;
    common.format().print(String::new, || Executed {
        pool,
        runs: ended.iter().map(RunOutcome::run).collect(),
    })?;
    let failed: Vec<&RunOutcome> = ended
        .iter()
        .filter(|ended| !ended.status.success())
        .collect();
    let Some(first) = failed.first() else {
        return Ok(());
    };
    let message = describe(first.status);
    match common.format() {
        Format::Text => {
            let names: Vec<String> = failed
                .iter()
                .map(|ended| printable(&ended.worker))
                .collect();
            let hint = format!("it failed for {}", names.join(", "));
            Err(CommandError::failed(message).hint(hint))
        }
        // The exit codes are in the answer.
        Format::Json => {
            print_error(&format!("{message}\n"));
            Err(CommandError::already_reported())
        }
    }
}

/// The outcome of the command for one worker.
struct RunOutcome {
    worker: String,
    status: ExitStatus,
    /// What it printed, if that was captured.
    output: Vec<u8>,
}

impl RunOutcome {
    fn run(&self) -> Run {
        Run {
            worker: self.worker.clone(),
            exit_code: self.status.code(),
            output: String::from_utf8_lossy(&self.output).into_owned(),
        }
    }
}

async fn run_for(
    command: &[OsString],
    worker: &str,
    output: Stdio,
) -> Result<RunOutcome, CommandError> {
    let mut words = command.iter().map(|word| for_worker(word, worker));
    let program = words.next().unwrap_or_default();
    let cannot_run =
        |error| CommandError::failed(format_args!("cannot run '{}': {error}", program.display()));
    let child = tokio::process::Command::new(program)
        .args(words)
        .kill_on_drop(true)
        .stdin(Stdio::inherit())
        .stdout(output)
        .spawn()
        .map_err(cannot_run)?;
    let ended = child.wait_with_output().await.map_err(cannot_run)?;
    Ok(RunOutcome {
        worker: worker.to_owned(),
        status: ended.status,
        output: ended.stdout,
    })
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
