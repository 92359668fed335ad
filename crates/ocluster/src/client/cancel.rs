//! `cancel`: cancels durable jobs.

use std::ffi::OsString;

use cluster_api::{DurableStage, JobQuery, JobState, Label};

use super::access::Access;
use super::jobs::list;
use crate::json::kept_jobs::CancelledKeptJobs;
use crate::labels::label;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::print_error;

/// The most jobs that are cancelled by label at once.
const MOST: u32 = 100_000;

/// Cancel jobs that the scheduler keeps
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client cancel [OPTIONS] [CAP] [JOB...]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Cancel all jobs with this label that have not ended; may be repeated, and a job must have all of them
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<Label>,
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (cap, positionals) = connect.split(args.positionals)?;
    let mut ids = positionals.rest("JOB")?;
    if ids.is_empty() == args.labels.is_empty() {
        return Err(match ids.is_empty() {
            true => CommandError::usage("required argument JOB is missing")
                .hint("give the ids of jobs, or --label"),
            false => CommandError::usage("option '--label' cannot be used with argument JOB"),
        });
    }
    let access = Access::connect(cap).await?;
    let are_given = !ids.is_empty();
    if !are_given {
        ids = labelled(&access, args.labels).await?;
        if ids.is_empty() {
            print_error("No job with that label is queued or running.\n");
        }
    }
    let mut cancelled = Vec::new();
    for id in &ids {
        match cancel(&access, id, are_given).await {
            Ok(id) => cancelled.extend(id),
            Err(error) => {
                return Err(match cancelled.is_empty() {
                    true => error,
                    false => {
                        error.hint(format_args!("already cancelled: {}", cancelled.join(", ")))
                    }
                });
            }
        }
    }
    let text = || {
        cancelled
            .iter()
            .map(|id| format!("Cancelled job {id}.\n"))
            .collect()
    };
    format.print(text, || CancelledKeptJobs {
        jobs: cancelled.clone(),
    })
}

async fn labelled(access: &Access, labels: Vec<Label>) -> Result<Vec<String>, CommandError> {
    let query = JobQuery {
        labels,
        states: vec![JobState::Queued, JobState::Running],
        ..JobQuery::default()
    };
    let (jobs, _) = list(access, query, MOST).await?;
    Ok(jobs.into_iter().map(|job| job.id).collect())
}

/// Cancels a job, and returns its whole id; `None` for one that has ended before, unless it was given by its user.
async fn cancel(access: &Access, id: &str, is_given: bool) -> Result<Option<String>, CommandError> {
    let job = access.observe(Some(id)).await?;
    let id = job.id().unwrap_or(id).to_owned();
    let Err(error) = job.cancel().await else {
        return Ok(Some(id));
    };
    let status = job.status().await;
    let has_ended = status.is_ok_and(|status| matches!(status.stage, DurableStage::Ended { .. }));
    match (has_ended, is_given) {
        (true, false) => Ok(None),
        (true, true) => Err(CommandError::failed(format_args!(
            "cannot cancel job {id}: it has ended"
        ))),
        (false, _) => Err(access.failed(error).await),
    }
}
