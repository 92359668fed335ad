//! `job-log`: prints the log of a job.

use std::ffi::OsString;
use std::ops::Range;

use cluster_api::{DurableAttempt, LogTime, RpcErrorKind};
use jiff::Timestamp;
use visible::counted;

use super::job_name::id_of;
use super::show::details;
use crate::admin::Common;
use crate::admin::service::{About, Service};
use crate::decoder::Decoder;
use crate::json::jobs::LogPiece;
use crate::timestamps::{LineTimes, TimestampArgs, UNKNOWN, unreported};
use cli::error::CommandError;
use cli::output::{self, Format};
use cli::print::{print_bytes, print_error};
use cli::signals::Interrupts;
use cli::terminal::LogOutput;

/// Print the log of a job
///
/// It is the log of the latest attempt, as far as the scheduler has it. The job is given by its id, which may be
/// shortened while it is unique, or by its pool and its number there, such as linux/7.
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
    #[command(flatten)]
    timestamps: TimestampArgs,
}

pub(in crate::admin) async fn run(common: &Common, args: Args) -> Result<(), CommandError> {
    let (cap, mut positionals) = common.split(args.positionals)?;
    let id = positionals.required("JOB")?;
    positionals.finish()?;
    let service = Service::connect(&cap).await?;
    let id = id_of(&service, id).await?;
    let details = details(&service, &id).await?.job;
    let latest = details.attempts.last();
    let number = args.attempt.or(latest.map(|latest| latest.number));
    let (Some(number), id) = (number, details.summary.id) else {
        print_error("The job has no log yet.\n");
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
    let format = common.format();
    let mut filter = match format {
        Format::Text => LogOutput::to_stdout(),
        Format::Json => LogOutput::to_json(),
    };
    let began = attempt.started_ago;
    let style = args.timestamps.style();
    let mut lines = style.map(|style| LineTimes::new(style, began, Timestamp::now()));
    let mut interrupts = Interrupts::listen()?;
    let copied = tokio::select! {
        copied = copy(&service, &id, (attempt, end), format, &mut filter, &mut lines) => copied,
        interrupt = interrupts.next() => Err(CommandError::interrupted(interrupt, "")),
    };
    // So that what follows is in the usual colour.
    print_bytes(filter.finish().as_bytes())?;
    copied
}

/// Prints a log up to an offset, or to its end.
async fn copy(
    service: &Service,
    id: &str,
    (attempt, end): (&DurableAttempt, u64),
    format: Format,
    filter: &mut LogOutput,
    lines: &mut Option<LineTimes>,
) -> Result<(), CommandError> {
    let number = attempt.number;
    let mut decoder = Decoder::default();
    let mut offset = 0;
    while offset < end {
        let chunk = match service.admin().job_log(id, number, offset).await {
            Ok(chunk) => chunk,
            Err(error) => {
                let about = About::default();
                return Err(service.failed("JobsAdmin.log", about, error).await);
            }
        };
        if chunk.bytes.is_empty() || chunk.next <= offset {
            break;
        }
        let bytes = match lines {
            None => chunk.bytes,
            Some(lines) => {
                let times = log_times(service, id, number, offset..chunk.next).await?;
                if offset == 0 && times.is_empty() {
                    print_error(&format!("{}\n", unreported(number, &attempt.worker)));
                }
                lines.stamp(offset, &chunk.bytes, &times)
            }
        };
        offset = chunk.next;
        let piece = filter.push(&bytes);
        match format {
            Format::Text => print_bytes(&piece)?,
            Format::Json => print_piece(decoder.text(&piece))?,
        }
    }
    print_piece(decoder.finish())
}

/// Returns when a part of a log was written.
async fn log_times(
    service: &Service,
    id: &str,
    attempt: u32,
    part: Range<u64>,
) -> Result<Vec<LogTime>, CommandError> {
    let mut all = Vec::new();
    let mut from = Some(part.start);
    while let Some(start) = from {
        let asked = service.admin().job_log_times(id, attempt, start, part.end);
        let page = match asked.await {
            Ok(page) => page,
            Err(error) if error.kind == RpcErrorKind::Unimplemented => {
                return Err(CommandError::failed(UNKNOWN));
            }
            Err(error) => {
                let about = About::default();
                return Err(service.failed("JobTimelines.logTimes", about, error).await);
            }
        };
        all.extend(page.times);
        from = page.next.filter(|next| *next > start);
    }
    Ok(all)
}

/// Prints a piece of a log as JSON, if there is something in it.
fn print_piece(text: String) -> Result<(), CommandError> {
    match text.is_empty() {
        true => Ok(()),
        false => output::print_event(&LogPiece::Log { text }),
    }
}
