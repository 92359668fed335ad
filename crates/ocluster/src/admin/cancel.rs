//! `cancel`: cancels jobs by number, of any client.

use std::ffi::OsString;

use super::Common;
use super::note::operator;
use super::service::{About, Service};
use crate::json::admin::{Cancelled, CancelledJob};
use cli::error::CommandError;
use cli::quote::printable;

/// Cancel queued or running jobs, by number
///
/// The numbers are those in the TICKET column of show, and in the scheduler's log.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin cancel [OPTIONS] [CAP] <POOL> <NUMBER>...")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
}

pub(super) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
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
