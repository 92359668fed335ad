//! `wait`: waits until durable jobs have ended.

use std::ffi::OsString;

use cluster_api::DurableOutcome;
use cluster_client::{DurableError, DurableJob};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::access::Access;
use super::events::print_json;
use crate::json::kept_jobs::EndedJob;
use crate::outcome::{self, Failure};
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::failure::Reason;
use cli::output::Format;
use cli::print::print_line;

/// Wait until jobs that the scheduler keeps have ended
///
/// The exit code is that of submit for the first of these jobs that did not succeed, in the order in which they are
/// given.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client wait [OPTIONS] [CAP] <JOB>...")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

/// How a job ended, and its place in the command line.
type Waited = (
    usize,
    DurableJob,
    Result<(u32, DurableOutcome), DurableError>,
);

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (access, positionals) = Access::from_args(connect, args.positionals).await?;
    let ids = positionals.rest("JOB")?;
    let mut jobs = Vec::new();
    match ids.is_empty() {
        // The cap file may be that of a job.
        true => jobs.push(access.watch(None).await?),
        false => {
            for id in &ids {
                jobs.push(access.watch(Some(id)).await?);
            }
        }
    }
    let mut waiting: FuturesUnordered<_> = jobs.into_iter().enumerate().map(wait_for).collect();
    let mut failures = Vec::new();
    while let Some((place, job, ended)) = waiting.next().await {
        match ended {
            Ok((attempts, outcome)) => {
                let failed = report(&job, attempts, &outcome, format).await?;
                failures.extend(failed.map(|failed| (place, failed)));
            }
            Err(error) => failures.push((place, access.failed(error).await)),
        }
    }
    failures.sort_by_key(|(place, _)| *place);
    match failures.into_iter().next() {
        None => Ok(()),
        Some((_, failed)) => Err(failed),
    }
}

async fn wait_for((place, job): (usize, DurableJob)) -> Waited {
    let ended = job.ended().await;
    (place, job, ended)
}

/// Prints how a job ended. Returns the failure of the command if the job did not succeed.
async fn report(
    job: &DurableJob,
    attempts: u32,
    outcome: &DurableOutcome,
    format: Format,
) -> Result<Option<CommandError>, CommandError> {
    let result = outcome::result(attempts, outcome, None);
    let failed = result.as_ref().err().map(Failure::command_error);
    let id = job.id().unwrap_or("The job");
    match format {
        Format::Text => print_line(format_args!("{id} {}", outcome::sentence(outcome)))?,
        Format::Json => {
            let event = EndedJob {
                id: job.id().map(str::to_owned),
                state: outcome::word(outcome).to_owned(),
                output: result.ok(),
                error: failed.as_ref().and_then(Reason::of),
            };
            print_json(&event).await?;
        }
    }
    // It has been printed.
    Ok(failed.map(|failed| CommandError {
        message: String::new(),
        ..failed
    }))
}
