//! `cancel`: cancels jobs of any client: by number, and durable ones by id.

use std::ffi::OsString;

use super::Common;
use super::jobs::job_name::id_of;
use super::note::operator;
use super::service::{About, Service};
use crate::json::admin::{Cancelled, CancelledJob};
use crate::json::kept_jobs::CancelledKeptJobs;
use cli::error::CommandError;
use cli::quote::printable;

/// Cancel queued or running jobs, by number or by id
///
/// The numbers are those in the TICKET column of show, and in the scheduler's log. Durable jobs have ids, which jobs
/// lists; give them with --job, without POOL and NUMBER.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin cancel [OPTIONS] [CAP] <POOL> <NUMBER>...")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Cancel this durable job; may be repeated
    #[arg(long = "job", value_name = "JOB")]
    jobs: Vec<String>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    if !args.jobs.is_empty() {
        positionals.finish()?;
        let service = Service::connect(&cap).await?;
        return cancel_durable(common, &service, &args.jobs).await;
    }
    let pool = positionals.required("POOL")?;
    let numbers = positionals.rest("NUMBER")?;
    if numbers.is_empty() {
        return Err(
            CommandError::usage("required argument NUMBER is missing").hint(format_args!(
                "'ocluster-admin show CAP {}' lists the jobs with their numbers",
                printable(&pool)
            )),
        );
    }
    let numbers: Vec<u64> = numbers
        .iter()
        .map(|text| number(&pool, text))
        .collect::<Result<_, _>>()?;
    let service = Service::connect(&cap).await?;
    let (handle, by) = (service.pool(&pool), operator());
    let mut jobs = Vec::new();
    for ticket in numbers {
        match handle.cancel(ticket, &by).await {
            Ok(worker) => jobs.push(CancelledJob { ticket, worker }),
            Err(error) => {
                let failed = service
                    .failed("PoolControl.cancel", About::pool(&pool), error)
                    .await;
                let done: Vec<String> = jobs.iter().map(|job| job.ticket.to_string()).collect();
                return Err(match done.is_empty() {
                    true => failed,
                    false => failed.hint(format_args!("already cancelled: {}", done.join(", "))),
                });
            }
        }
    }
    let text = || jobs.iter().map(line).collect();
    common.format().print(text, || Cancelled {
        pool: pool.clone(),
        jobs: jobs.clone(),
    })
}

/// Cancels durable jobs, one after the other.
async fn cancel_durable(
    common: &Common,
    service: &Service,
    ids: &[String],
) -> Result<(), CommandError> {
    let mut jobs: Vec<String> = Vec::new();
    for id in ids {
        let id = id_of(service, id.clone()).await?;
        match service.admin().cancel_job(&id).await {
            Ok(id) => jobs.push(id),
            Err(error) => {
                let failed = service
                    .failed("JobsAdmin.cancel", About::default(), error)
                    .await;
                return Err(match jobs.is_empty() {
                    true => failed,
                    false => failed.hint(format_args!("already cancelled: {}", jobs.join(", "))),
                });
            }
        }
    }
    let line = |id: &String| format!("Cancelled job {id}.\n");
    common.format().print(
        || jobs.iter().map(line).collect(),
        || CancelledKeptJobs { jobs: jobs.clone() },
    )
}

/// Parses a number, also in the form of logs: after the name of its pool.
fn number(pool: &str, text: &str) -> Result<u64, CommandError> {
    let number = text
        .strip_prefix(pool)
        .and_then(|rest| rest.strip_prefix('/'));
    number.unwrap_or(text).parse().map_err(|_| {
        CommandError::usage(format_args!(
            "argument NUMBER: invalid value '{}', expected a job number",
            printable(text)
        ))
    })
}

fn line(job: &CancelledJob) -> String {
    let ticket = job.ticket;
    match &job.worker {
        Some(worker) => format!("Cancelled job {ticket} on {}.\n", printable(worker)),
        None => format!("Cancelled job {ticket}, which was queued.\n"),
    }
}
