//! The log of a durable job, with the time of each line.

use std::borrow::Cow;

use cluster_api::LogTime;
use cluster_client::{DurableError, DurableJob, DurableLog};
use jiff::Timestamp;

use super::access::Access;
use crate::timestamps::{LineTimes, NOT_SHOWN, TimestampStyle, UNKNOWN, unreported};
use cli::error::CommandError;
use cli::print::print_error;

/// Puts times before the lines of the log of a job, attempt by attempt.
pub(super) struct StampedLog {
    job: DurableJob,
    style: TimestampStyle,
    /// Whether the log is better shown without times than not at all.
    may_leave_out: bool,
    /// The attempt whose lines come at present.
    current: Option<(u32, LineTimes)>,
}

impl StampedLog {
    pub(super) fn new(job: DurableJob, style: TimestampStyle) -> Self {
        Self {
            job,
            style,
            may_leave_out: false,
            current: None,
        }
    }

    /// The same for a job that was just submitted: if its times are not kept, its log is shown without.
    pub(super) fn if_possible(job: DurableJob, style: TimestampStyle) -> Self {
        Self {
            may_leave_out: true,
            ..Self::new(job, style)
        }
    }

    /// Returns a piece of the log of an attempt, which is at an offset, with times.
    async fn stamp(
        &mut self,
        (attempt, offset): (u32, u64),
        bytes: &[u8],
    ) -> Result<Vec<u8>, DurableError> {
        let end = offset.saturating_add(bytes.len() as u64);
        let times = log_times(&self.job, attempt, offset, end).await?;
        let lines = match &mut self.current {
            Some((current, lines)) if *current == attempt => lines,
            other => {
                let details = self.job.describe().await?;
                let mut attempts = details.attempts.iter();
                let found = attempts.find(|found| found.number == attempt);
                let ago = found.map(|found| found.started_ago).unwrap_or_default();
                if let (Some(found), true) = (found, times.is_empty()) {
                    print_error(&format!("{}\n", unreported(attempt, &found.worker)));
                }
                let lines = LineTimes::new(self.style, ago, Timestamp::now());
                &mut other.insert((attempt, lines)).1
            }
        };
        Ok(lines.stamp(offset, bytes, &times))
    }
}

/// Returns a piece of a log as it is to be shown: with times, if there is something that puts them there.
pub(super) async fn stamp<'a>(
    stamps: &mut Option<StampedLog>,
    at: (u32, u64),
    bytes: &'a [u8],
    access: &Access,
) -> Result<Cow<'a, [u8]>, CommandError> {
    let Some(stamped_log) = stamps else {
        return Ok(Cow::Borrowed(bytes));
    };
    match stamped_log.stamp(at, bytes).await {
        Ok(stamped) => Ok(Cow::Owned(stamped)),
        Err(DurableError::Unsupported) if stamped_log.may_leave_out => {
            *stamps = None;
            print_error(&format!("{NOT_SHOWN}\n"));
            Ok(Cow::Borrowed(bytes))
        }
        Err(DurableError::Unsupported) => Err(CommandError::failed(UNKNOWN)),
        Err(error) => Err(access.failed(error).await),
    }
}

/// Returns where a piece begins that was just read: the number of its attempt, and an offset.
pub(super) fn begin_of(log: &DurableLog, piece: &[u8]) -> (u32, u64) {
    let (attempt, end) = log.position();
    (attempt, end.saturating_sub(piece.len() as u64))
}

/// Returns all times of a part of a log.
async fn log_times(
    job: &DurableJob,
    attempt: u32,
    start: u64,
    end: u64,
) -> Result<Vec<LogTime>, DurableError> {
    let mut all = Vec::new();
    let mut from = Some(start);
    while let Some(start) = from {
        let page = job.log_times(attempt, start, end).await?;
        all.extend(page.times);
        from = page.next.filter(|next| *next > start);
    }
    Ok(all)
}
