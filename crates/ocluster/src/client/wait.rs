//! `wait`: waits until durable jobs have ended.

use std::ffi::OsString;

use cluster_api::DurableOutcome;
use cluster_client::{DurableError, DurableJob};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::access::Access;
use super::events::print_json;
use super::failures::Failures;
use crate::json::kept_jobs::EndedJob;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::{print_error, print_line};
use cluster_json::outcome;

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
    let mut failures = Failures::new(format);
    let mut waiting = FuturesUnordered::new();
    if ids.is_empty() {
        // The cap file may be that of a job.
        waiting.push(wait_for(0, access.watch(None).await?));
    }
    for (place, id) in ids.iter().enumerate() {
        match access.watch(Some(id)).await {
            Ok(job) => waiting.push(wait_for(place, job)),
            Err(error) => failures.report(place, error)?,
        }
    }
    while let Some((place, job, ended)) = waiting.next().await {
        match ended {
            Ok((attempts, outcome)) => {
                if let Some(failed) = report(&job, attempts, &outcome, format).await? {
                    failures.add(place, &failed);
                }
            }
            Err(error) => failures.report(place, access.failed(error).await)?,
        }
    }
    failures.result()
}

async fn wait_for(place: usize, job: DurableJob) -> Waited {
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
    let failed = result.as_ref().err().map(CommandError::of_job);
    let id = job.id().unwrap_or("The job");
    match format {
        Format::Text => {
            print_line(format_args!("{id} {}", outcome::sentence(outcome)))?;
            for hint in failed.iter().flat_map(|failed| &failed.hints) {
                print_error(&format!("{id}: {hint}\n"));
            }
        }
        Format::Json => {
            let event = EndedJob {
                id: job.id().map(str::to_owned),
                state: outcome::word(outcome).to_owned(),
                output: result.ok(),
                error: failed.as_ref().and_then(CommandError::reason),
            };
            print_json(&event).await?;
        }
    }
    Ok(failed)
}
