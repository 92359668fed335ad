//! `wait`: waits until durable jobs have ended.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;

use cluster_api::DurableOutcome;
use cluster_client::{DurableError, DurableJob};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::access::Access;
use super::events::print_json;
use super::failures::Failures;
use super::waiting::{Explains, INTERVAL};
use crate::json::kept_jobs::EndedJob;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::{print_error, print_line};
use cli::status_line::StatusLine;
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
    let mut left = BTreeMap::new();
    if ids.is_empty() {
        // The cap file may be that of a job.
        left.insert(0, access.watch(None).await?);
    }
    for (place, id) in ids.iter().enumerate() {
        match access.watch(Some(id)).await {
            Ok(job) => drop(left.insert(place, job)),
            Err(error) => failures.report(place, error)?,
        }
    }
    let jobs = left.clone().into_iter();
    let mut waiting: FuturesUnordered<_> = jobs.map(|(place, job)| wait_for(place, job)).collect();
    let line = StatusLine::on_terminal();
    let explains = Explains::default();
    loop {
        let next = tokio::select! {
            next = waiting.next() => next,
            never = show(&left, &explains, &line) => match never {},
        };
        let Some((place, job, ended)) = next else {
            break;
        };
        left.remove(&place);
        line.clear();
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

/// Shows on a terminal what is waited for, until the future is dropped.
async fn show(
    left: &BTreeMap<usize, DurableJob>,
    explains: &Explains,
    line: &StatusLine,
) -> Infallible {
    while let Some(job) = left.values().next()
        && line.is_enabled()
    {
        tokio::time::sleep(INTERVAL).await;
        match explains.ask_durable(job).await {
            Some(wait) => line.show(&shown(left.len(), job.id(), &wait.brief())),
            None => line.clear(),
        }
    }
    std::future::pending().await
}

/// Returns what is shown of the first of the jobs that are left.
fn shown(jobs_left: usize, id: Option<&str>, brief: &str) -> String {
    match (jobs_left, id) {
        (2.., Some(id)) => format!("{jobs_left} jobs left, {id}: {brief}"),
        _ => brief.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_jobs_the_first_is_shown() {
        let brief = "queued, expected to start in 1m to 2m: next in line";
        assert_eq!(shown(1, Some("28t5cy4tqkff"), brief), brief);
        assert_eq!(shown(2, None, "building on w1"), "building on w1");
        assert_eq!(
            shown(3, Some("28t5cy4tqkff"), "building on w1"),
            "3 jobs left, 28t5cy4tqkff: building on w1"
        );
    }
}
