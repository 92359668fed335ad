//! `cancel`: cancels durable jobs.

use std::ffi::OsString;

use cluster_api::{DurableStage, JobQuery, JobState, Label};
use futures::stream::{self, StreamExt as _};

use super::access::Access;
use super::failures::Failures;
use super::jobs::page;
use crate::json::kept_jobs::CancelledKeptJobs;
use crate::labels::label;
use crate::pages::{PAGE, next_page};
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::{print_error, print_line};
use cli::quote::printable;

/// How many jobs are cancelled by label at a time.
const AT_ONCE: usize = 32;

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
    let ids = positionals.rest("JOB")?;
    if ids.is_empty() == args.labels.is_empty() {
        return Err(match ids.is_empty() {
            true => CommandError::usage("required argument JOB is missing")
                .hint("give the ids of jobs, or --label"),
            false => CommandError::usage("option '--label' cannot be used with argument JOB"),
        });
    }
    let access = Access::connect(cap).await?;
    let mut cancelling = Cancelling {
        access: &access,
        format,
        cancelled: Vec::new(),
        failures: Failures::new(format),
    };
    let ended = match ids.is_empty() {
        false => cancelling.given(&ids).await,
        true => cancelling.labelled(args.labels).await,
    };
    let Cancelling {
        cancelled: jobs,
        failures,
        ..
    } = cancelling;
    match format {
        Format::Text => {}
        Format::Json => format.print(String::new, || CancelledKeptJobs { jobs })?,
    }
    ended.and_then(|()| failures.result())
}

/// Jobs that are being cancelled.
struct Cancelling<'a> {
    access: &'a Access,
    format: Format,
    /// The ids of those that were.
    cancelled: Vec<String>,
    failures: Failures,
}

impl Cancelling<'_> {
    /// Cancels the jobs with these ids.
    async fn given(&mut self, ids: &[String]) -> Result<(), CommandError> {
        for (place, id) in ids.iter().enumerate() {
            match cancel(self.access, id).await {
                Ok(Some(id)) => self.done(id)?,
                Ok(None) => {
                    let ended = format!("cannot cancel job {}: it has ended", printable(id));
                    let failed = CommandError::failed(ended);
                    self.failures.report(place, failed)?;
                }
                Err(failed) => self.failures.report(place, failed)?,
            }
        }
        Ok(())
    }

    /// Cancels all jobs with these labels that were submitted before.
    async fn labelled(&mut self, labels: Vec<Label>) -> Result<(), CommandError> {
        let mut query = JobQuery {
            labels,
            states: vec![JobState::Queued, JobState::Running],
            at_most: Some(PAGE),
            ..JobQuery::default()
        };
        loop {
            let (jobs, next) = page(self.access, &query).await?;
            let access = self.access;
            let ids = stream::iter(jobs).map(|job| job.id);
            let mut cancelling = ids
                .map(|id| async move { cancel(access, &id).await })
                .buffered(AT_ONCE);
            while let Some(cancelled) = cancelling.next().await {
                match cancelled {
                    Ok(Some(id)) => self.done(id)?,
                    // It has ended since.
                    Ok(None) => {}
                    Err(failed) => self.failures.report(0, failed)?,
                }
            }
            query.before = next_page(query.before, next);
            if query.before.is_none() {
                break;
            }
        }
        if self.cancelled.is_empty() {
            print_error("No job with that label is queued or running.\n");
        }
        Ok(())
    }

    /// Prints that a job was cancelled, as soon as it was: the next one may fail.
    fn done(&mut self, id: String) -> Result<(), CommandError> {
        if self.format == Format::Text {
            print_line(format_args!("Cancelled job {id}."))?;
        }
        self.cancelled.push(id);
        Ok(())
    }
}

/// Cancels a job, and returns its whole id; `None` for one that has ended before.
async fn cancel(access: &Access, id: &str) -> Result<Option<String>, CommandError> {
    let job = access.observe(Some(id)).await?;
    let id = job.id().unwrap_or(id).to_owned();
    let Err(error) = job.cancel().await else {
        return Ok(Some(id));
    };
    let status = job.status().await;
    let has_ended = status.is_ok_and(|status| matches!(status.stage, DurableStage::Ended { .. }));
    match has_ended {
        true => Ok(None),
        false => Err(access.failed(error).await),
    }
}
