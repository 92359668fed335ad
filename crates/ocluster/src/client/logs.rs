//! `logs`: shows the log of a durable job.

use std::cell::RefCell;
use std::ffi::OsString;

use cluster_client::{DurableError, DurableJob, LogEvent};

use super::access::Access;
use super::events::{self, print_log};
use super::followed::{self, write_log};
use super::stamped::{StampedLog, begin_of, stamp};
use crate::decoder::Decoder;
use crate::json::client::JobEvent;
use crate::timestamps::TimestampArgs;
use cli::capability_args::ConnectArgs;
use cli::error::CommandError;
use cli::output::Format;
use cli::print::{print_bytes, print_error};
use cli::quote::printable;
use cli::signals::Interrupts;
use cli::terminal::LogOutput;

/// How much of a log is looked at to find the beginning of a line.
const BLOCK: u64 = 64 << 10;

/// Show the log of a job that the scheduler keeps
///
/// The job is given by its id, or by the beginning of its id. It is left out if the cap file is that of a job (share).
#[derive(Debug, clap::Args)]
#[command(override_usage = "ocluster-client logs [OPTIONS] [CAP] [JOB]")]
pub(super) struct Args {
    #[arg(hide = true)]
    positionals: Vec<OsString>,
    /// Show what is added until the job has ended; while this runs, the job has a client
    #[arg(short, long)]
    follow: bool,
    /// Show the log of this attempt [default: the latest]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Begin with the last lines, so many of them
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    #[command(flatten)]
    timestamps: TimestampArgs,
}

/// What is shown, and how.
struct Shown<'a> {
    access: &'a Access,
    format: Format,
    stamps: Option<StampedLog>,
    output: RefCell<LogOutput>,
    decoder: Decoder,
}

pub(super) async fn run(
    connect: &ConnectArgs,
    args: Args,
    format: Format,
) -> Result<(), CommandError> {
    let (access, mut positionals) = Access::from_args(connect, args.positionals.clone()).await?;
    let id = positionals.optional("JOB")?;
    positionals.finish()?;
    let id = id.as_deref();
    let job = match args.follow {
        true => access.watch(id).await?,
        false => access.observe(id).await?,
    };
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        shown = show(&access, &job, &args, format) => shown,
        interrupt = interrupts.next() => Err(CommandError::interrupted(interrupt, "")),
    }
}

/// Shows the log.
async fn show(
    access: &Access,
    job: &DurableJob,
    args: &Args,
    format: Format,
) -> Result<(), CommandError> {
    let Args {
        follow,
        attempt,
        tail,
        timestamps,
        positionals: _,
    } = *args;
    let part = match part(job, attempt, tail).await {
        Ok(part) => part?,
        Err(error) => return Err(access.failed(error).await),
    };
    let stamps = timestamps.style();
    let stamps = stamps.map(|style| StampedLog::new(job.clone(), style));
    let is_followed = follow && attempt.is_none_or(|attempt| attempt == part.latest);
    if is_followed && format == Format::Text {
        let from = (part.attempt, part.start);
        return followed::show_log(access, job.clone(), from, stamps).await;
    }
    let mut shown = Shown::new(access, format, stamps);
    let showed = match is_followed {
        true => follow_as_json(job, &part, &mut shown).await,
        false => show_part(job, &part, &mut shown).await,
    };
    shown.end().await?;
    match showed {
        Ok(result) => result,
        Err(error) => Err(access.failed(error).await),
    }
}

/// The part of a log that is shown.
struct Part {
    attempt: u32,
    start: u64,
    /// How much of it there is.
    length: u64,
    /// The number of the latest attempt; 0 before the first.
    latest: u32,
}

/// Finds what to show. The inner error is that of the command line.
async fn part(
    job: &DurableJob,
    attempt: Option<u32>,
    tail: Option<u64>,
) -> Result<Result<Part, CommandError>, DurableError> {
    let details = job.describe().await?;
    let latest = details.attempts.last().map_or(0, |attempt| attempt.number);
    let number = attempt.unwrap_or(latest);
    if number > latest.max(1) {
        let id = printable(&details.summary.id);
        let error = format!("cannot show attempt {number} of job {id}: it has {latest}");
        return Ok(Err(CommandError::failed(error)));
    }
    let mut attempts = details.attempts.iter();
    let found = attempts.find(|attempt| attempt.number == number);
    let length = found.map_or(0, |attempt| attempt.log_length);
    let start = match tail {
        Some(lines) => tail_start(job, number, length, lines).await?,
        None => 0,
    };
    Ok(Ok(Part {
        attempt: number,
        start,
        length,
        latest,
    }))
}

/// Shows a part that is there. The inner result is that of showing it.
async fn show_part(
    job: &DurableJob,
    part: &Part,
    shown: &mut Shown<'_>,
) -> Result<Result<(), CommandError>, DurableError> {
    if part.latest == 0 {
        print_error("The job has no log yet.\n");
    }
    let mut offset = part.start;
    while offset < part.length {
        let piece = job.log_piece(part.attempt, offset).await?;
        if piece.bytes.is_empty() || piece.next <= offset {
            break;
        }
        let at = (part.attempt, offset);
        offset = piece.next;
        if let Err(error) = shown.bytes(at, &piece.bytes).await {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Shows the log until the job has ended. The inner result is that of showing it.
async fn follow_as_json(
    job: &DurableJob,
    part: &Part,
    shown: &mut Shown<'_>,
) -> Result<Result<(), CommandError>, DurableError> {
    let mut log = job.log_from(part.attempt, part.start);
    let mut is_complete = true;
    while let Some(event) = log.next().await? {
        let printed = match event {
            LogEvent::Bytes(bytes) => shown.bytes(begin_of(&log, &bytes), &bytes).await,
            LogEvent::Retrying { reason, .. } => {
                is_complete = true;
                shown.event(JobEvent::Resubmitted { message: reason }).await
            }
            // Another attempt may follow.
            LogEvent::CutOff(message) => {
                is_complete = false;
                shown.event(JobEvent::CutOff { message }).await
            }
        };
        if printed.is_err() {
            return Ok(printed);
        }
    }
    Ok(match is_complete {
        true => Ok(()),
        false => Err(followed::incomplete()),
    })
}

/// Returns where the last lines of a log begin.
async fn tail_start(
    job: &DurableJob,
    attempt: u32,
    length: u64,
    lines: u64,
) -> Result<u64, DurableError> {
    if lines == 0 {
        return Ok(length);
    }
    let (mut end, mut left) = (length, lines);
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = Vec::new();
        while start + (block.len() as u64) < end {
            let piece = job.log_piece(attempt, start + block.len() as u64).await?;
            if piece.bytes.is_empty() {
                return Ok(start);
            }
            block.extend(piece.bytes);
        }
        block.truncate(usize::try_from(end - start).unwrap_or(block.len()));
        for (index, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            let after = start + index as u64 + 1;
            // The last line may end in one.
            if after == length {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(after);
            }
        }
        end = start;
    }
    Ok(0)
}

impl<'a> Shown<'a> {
    fn new(access: &'a Access, format: Format, stamps: Option<StampedLog>) -> Self {
        let output = match format {
            Format::Text => LogOutput::to_stdout(),
            Format::Json => LogOutput::to_json(),
        };
        Self {
            access,
            format,
            stamps,
            output: RefCell::new(output),
            decoder: Decoder::default(),
        }
    }

    /// Shows a piece of the log of an attempt, which is at an offset.
    async fn bytes(&mut self, at: (u32, u64), bytes: &[u8]) -> Result<(), CommandError> {
        let bytes = stamp(&mut self.stamps, at, bytes, self.access).await?;
        match self.format {
            Format::Text => write_log(&self.output, &bytes)
                .await
                .map_err(|error| CommandError::from_output(&error)),
            Format::Json => {
                let shown = self.output.borrow_mut().push(&bytes).into_owned();
                print_log(self.decoder.text(&shown)).await
            }
        }
    }

    /// Prints an event, after all of the log before it.
    async fn event(&mut self, event: JobEvent) -> Result<(), CommandError> {
        self.end().await?;
        events::print(&event).await
    }

    async fn end(&mut self) -> Result<(), CommandError> {
        match self.format {
            Format::Text => print_bytes(self.output.borrow_mut().finish().as_bytes()),
            Format::Json => print_log(std::mem::take(&mut self.decoder).finish()).await,
        }
    }
}
