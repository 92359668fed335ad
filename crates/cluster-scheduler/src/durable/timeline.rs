//! The phases and the log times of attempts, for those who look at a job.

use std::ops::Range;
use std::time::Duration;

use cluster_api::{LogTimesPage, MAX_LOG_TIMES, Phase, RpcError};
use job_store::Reader as _;
use job_store::logs::LogError;
use jobs::{AttemptId, JobId};

use super::{DurableJobs, convert, ending};

/// How long the times of what was just written are waited for: the worker is asked for them every second.
const WAIT: Duration = Duration::from_secs(3);

impl DurableJobs {
    /// Returns the phases of an attempt, in the order in which they began. None if its worker reports none.
    pub(crate) async fn timeline(&self, job: JobId, attempt: u32) -> Result<Vec<Phase>, RpcError> {
        let attempt = AttemptId {
            job,
            number: attempt,
        };
        let known: Vec<Phase> = {
            let state = self.state.borrow();
            let known = state.times.get(&attempt).into_iter();
            known
                .flat_map(|times| times.phases.values().cloned())
                .collect()
        };
        // Of one that is followed again, its worker may not have reported any yet.
        if !known.is_empty() {
            return Ok(known);
        }
        let phases = self.read(move |reader| reader.phases(attempt)).await?;
        Ok(phases.into_iter().map(convert::phase).collect())
    }

    /// Returns the times of a part of the log of an attempt, first that of what is at its start, even if that begins
    /// before. Waits a short time for those of a log that was written just now.
    pub(crate) async fn log_times(
        &self,
        job: JobId,
        number: u32,
        part: Range<u64>,
    ) -> Result<LogTimesPage, RpcError> {
        self.wait_for_times(job, number, part.end).await;
        self.known_log_times(job, number, part).await
    }

    /// Returns the same, as far as it is known.
    pub(crate) async fn known_log_times(
        &self,
        job: JobId,
        number: u32,
        part: Range<u64>,
    ) -> Result<LogTimesPage, RpcError> {
        let attempt = AttemptId { job, number };
        let stored_part = part.clone();
        let read = self.store.run(move |kept| {
            let Range { start, end } = part;
            // What is known of more than there is of the log came from a process that was killed.
            let end = match kept.logs.length(attempt) {
                Err(LogError::Missing(_)) => return Ok(None),
                length => end.min(length.unwrap_or(0)),
            };
            kept.logs
                .times(attempt, start, end, MAX_LOG_TIMES)
                .map(Some)
        });
        let times = read.await.ok_or_else(ending)?;
        let times = match times.map_err(|error| RpcError::failed(error.to_string()))? {
            Some(times) => times,
            None => {
                self.stored_times(attempt, stored_part, MAX_LOG_TIMES)
                    .await?
            }
        };
        let times: Vec<_> = times.into_iter().map(convert::log_time).collect();
        let is_full = times.len() >= MAX_LOG_TIMES;
        let next = times.last().filter(|_| is_full).map(|last| last.offset);
        Ok(LogTimesPage { times, next })
    }

    /// Waits until the times of a log up to this offset are known, but only for a short time.
    pub(crate) async fn wait_for_times(&self, job: JobId, number: u32, end: u64) {
        let attempt = AttemptId { job, number };
        let known = {
            let state = self.state.borrow();
            let times = state.times.get(&attempt);
            times.map(|times| times.known.subscribe())
        };
        let Some(mut known) = known else { return };
        let waited = known.wait_for(|known| *known >= end);
        // An error means that the attempt is not followed any more, and the time that no more is to be expected.
        drop(tokio::time::timeout(WAIT, waited).await);
        drop(known);
        if let Some(times) = self.state.borrow().times.get(&attempt) {
            times.known.settle();
        }
    }
}
