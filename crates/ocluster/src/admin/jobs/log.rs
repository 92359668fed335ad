//! `job-log`: prints the log of a durable job.

use std::ffi::OsString;

use visible::counted;

use super::show::details;
use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::json::jobs::LogPiece;
use cli::error::CommandError;
use cli::output::{self, Format};
use cli::print::{print, print_bytes};
use cli::signals::Interrupts;
use cli::terminal::LogOutput;

/// Print the log of a durable job
///
/// It is the log of the latest attempt, as far as the scheduler has it. The ID may be shortened while it is unique.
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-admin job-log [OPTIONS] [CAP] <JOB>")]
pub(in crate::admin) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Number of the attempt [default: the latest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Print what is written from now on, too, until the attempt ends
    #[arg(short, long)]
    follow: bool,
}

pub(in crate::admin) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let id = positionals.required("JOB")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let details = details(&service, &id).await?;
    let latest = details.attempts.last();
    let number = args.attempt.or(latest.map(|latest| latest.number));
    let (Some(number), id) = (number, details.summary.id) else {
        // No worker has it yet.
        return Ok(());
    };
    let attempt = details
        .attempts
        .iter()
        .find(|attempt| attempt.number == number);
    let Some(attempt) = attempt else {
        return Err(CommandError::failed(format_args!(
            "cannot show the log of attempt {number}: job {id} has had {}",
            counted(details.attempts.len(), "attempt")
        )));
    };
    let end = match args.follow {
        true => u64::MAX,
        false => attempt.log_length,
    };
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        copied = copy(&service, &id, number, end, common.format()) => copied,
        interrupt = interrupts.next() => Err(CommandError::interrupted(interrupt, "")),
    }
}

/// Prints a log up to an offset, or to its end.
async fn copy(
    service: &Service,
    id: &str,
    attempt: u32,
    end: u64,
    format: Format,
) -> Result<(), CommandError> {
    let mut filter = match format {
        Format::Text => LogOutput::to_stdout(),
        Format::Json => LogOutput::to_json(),
    };
    let mut offset = 0;
    while offset < end {
        let chunk = match service.admin().job_log(id, attempt, offset).await {
            Ok(chunk) => chunk,
            Err(error) => {
                let about = About::default();
                return Err(service.failed("JobsAdmin.log", about, error).await);
            }
        };
        if chunk.bytes.is_empty() || chunk.next <= offset {
            break;
        }
        offset = chunk.next;
        let piece = filter.push(&chunk.bytes);
        match format {
            Format::Text => print_bytes(&piece)?,
            Format::Json => output::print_event(&LogPiece::Log {
                text: String::from_utf8_lossy(&piece).into_owned(),
            })?,
        }
    }
    match format {
        Format::Text => print(&filter.finish()),
        Format::Json => Ok(()),
    }
}
