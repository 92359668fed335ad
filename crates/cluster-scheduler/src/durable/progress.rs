//! What the clients of a job do while it goes on: they watch it, read its log, or cancel it.

use std::cmp::Ordering;

use cluster_api::{DurableLogChunk, DurableStatus, RpcError};
use futures::channel::oneshot;
use job_store::logs::LogError;
use jobs::{AttemptId, CancelledBy, JobId, Jobs, Stage};
use tokio::sync::watch;
use visible::Shown;

use super::attached::until_log;
use super::live::{LogState, View};
use super::stored_logs::with_its_worker;
use super::{DurableJobs, convert, ending};
use crate::reactor::TicketState;

/// The most bytes of a log in one answer.
const MAX_CHUNK: usize = 256 << 10;

/// Drops the channels of a job that nobody watches any more, when a call that watched it ends in any way.
struct SettledAtEnd<'a> {
    jobs: &'a DurableJobs,
    job: JobId,
}

impl Drop for SettledAtEnd<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.jobs.state.borrow().live.get(&self.job) {
            live.shown.settle();
            live.log.settle();
        }
    }
}

impl DurableJobs {
    /// Returns the status of a job, once it has a later version than this.
    pub(crate) async fn watch(
        &self,
        job: JobId,
        version: Option<u64>,
    ) -> Result<DurableStatus, RpcError> {
        if let Some(attached) = self.attached.find(job) {
            return Ok(self.watch_attached(&attached, version).await);
        }
        let _settled = SettledAtEnd { jobs: self, job };
        let shown = self
            .state
            .borrow()
            .live
            .get(&job)
            .map(|live| live.shown.subscribe());
        if let Some(mut shown) = shown {
            let is_news = |latest: &View| version.is_none_or(|version| latest.version > version);
            // An error means that it has ended meanwhile.
            let seen = shown.wait_for(is_news).await.ok().map(|seen| seen.clone());
            if let Some(seen) = seen {
                return Ok(self.status(job, &seen));
            }
        }
        let Some(record) = self.record(job).await? else {
            return Err(RpcError::failed("the job is not kept any more"));
        };
        let Some((outcome, at)) = record.end else {
            let pool = Shown(&record.pool).to_string();
            return Err(RpcError::failed(format!(
                "the job waits for pool {pool:?}, which this scheduler does not have"
            )));
        };
        let attempts = record.attempts.last().map_or(0, |attempt| attempt.number);
        let stage = convert::stage(&Stage::Ended { outcome, at }, attempts, at, 0, None);
        Ok(DurableStatus {
            version: u64::MAX,
            stage,
        })
    }

    fn status(&self, job: JobId, shown: &View) -> DurableStatus {
        let state = self.state.borrow();
        let live = state.live.get(&job);
        let position = live.and_then(|live| Some(live.pool.ticket_state(live.ticket?)));
        let (ahead, obstacle) = waiting(position);
        let now = self.clock.unix_now();
        let stage = convert::stage(&shown.stage, shown.attempts, now, ahead, obstacle);
        DurableStatus {
            version: shown.version,
            stage,
        }
    }

    /// Reads the log of an attempt, and waits until there is more.
    pub(crate) async fn log(
        &self,
        job: JobId,
        attempt: u32,
        start: u64,
    ) -> Result<DurableLogChunk, RpcError> {
        let attempt = AttemptId {
            job,
            number: attempt,
        };
        if let Some(attached) = self.attached.find(job) {
            until_log(&attached, attempt, start).await?;
            return self.read_log(attempt, start).await.map(chunk_at(start));
        }
        let settled = SettledAtEnd { jobs: self, job };
        let bytes = match self.growing_log(attempt)? {
            Some(growing) => self.read_growing_log(attempt, start, growing).await?,
            None => self.read_whole_log(attempt, start).await?,
        };
        drop(settled);
        Ok(chunk_at(start)(bytes))
    }

    /// Reads what is there of the log of an attempt, without waiting. Returns the bytes, how long the log is, and
    /// whether it is complete.
    pub(crate) async fn log_so_far(
        &self,
        job: JobId,
        attempt: u32,
        start: u64,
        at_most: usize,
    ) -> Result<(Vec<u8>, u64, bool), RpcError> {
        let attempt = AttemptId {
            job,
            number: attempt,
        };
        let is_complete = match self.attached.find(job) {
            Some(_) => false,
            None => match self.growing_log(attempt)? {
                Some(growing) => growing.borrow().is_complete,
                None => true,
            },
        };
        self.settle_log(job);
        let read = self.store.run(move |kept| {
            let bytes = kept.logs.read(attempt, start, at_most)?;
            Ok((bytes, kept.logs.length(attempt)?))
        });
        match read.await.ok_or_else(ending)? {
            Ok((bytes, length)) => Ok((bytes, length, is_complete)),
            Err(LogError::Missing(_)) if is_complete => {
                let (bytes, length) = self.read_stored(attempt, start, at_most).await?;
                Ok((bytes, length, is_complete))
            }
            // Nothing was written yet.
            Err(LogError::Missing(_)) => Ok((Vec::new(), 0, is_complete)),
            Err(error) => Err(RpcError::failed(error.to_string())),
        }
    }

    fn settle_log(&self, job: JobId) {
        drop(SettledAtEnd { jobs: self, job });
    }

    /// Returns what there is of a log at an offset, and waits until there is more.
    async fn read_growing_log(
        &self,
        attempt: AttemptId,
        start: u64,
        mut growing: watch::Receiver<LogState>,
    ) -> Result<Vec<u8>, RpcError> {
        if let Some(bytes) = self.read_recent(attempt, start, &growing) {
            return Ok(bytes);
        }
        let bytes = self.read_log(attempt, start).await?;
        if !bytes.is_empty() {
            return Ok(bytes);
        }
        let is_news = |log: &LogState| log.length > start || log.is_complete;
        // An error means that the job has ended meanwhile.
        drop(growing.wait_for(is_news).await);
        match self.read_recent(attempt, start, &growing) {
            Some(bytes) => Ok(bytes),
            None => self.read_log(attempt, start).await,
        }
    }

    /// Returns what there is of a log at an offset, if that is in memory. Only a log that is copied from a worker is:
    /// it is removed from there when that ends.
    fn read_recent(
        &self,
        attempt: AttemptId,
        start: u64,
        growing: &watch::Receiver<LogState>,
    ) -> Option<Vec<u8>> {
        let is_followed = self.state.borrow().runs.contains_key(&attempt);
        let is_copied = is_followed && !growing.borrow().is_complete;
        is_copied.then(|| self.recent_logs.borrow_mut().read(attempt, start))?
    }

    /// Returns what a log that does not grow has at an offset; nothing at its end.
    async fn read_whole_log(&self, attempt: AttemptId, start: u64) -> Result<Vec<u8>, RpcError> {
        match self.read_on_disk(attempt, start).await? {
            Some(bytes) => Ok(bytes),
            None => {
                let (bytes, _) = self.read_stored(attempt, start, MAX_CHUNK).await?;
                Ok(bytes)
            }
        }
    }

    /// Returns what is kept of a log at an offset; nothing at its end.
    async fn read_log(&self, attempt: AttemptId, start: u64) -> Result<Vec<u8>, RpcError> {
        // Of one without a file, nothing was written yet.
        Ok(self.read_on_disk(attempt, start).await?.unwrap_or_default())
    }

    /// Returns what is on this disk of a log at an offset; `None` if it has no file.
    async fn read_on_disk(
        &self,
        attempt: AttemptId,
        start: u64,
    ) -> Result<Option<Vec<u8>>, RpcError> {
        let read = self
            .store
            .run(move |kept| kept.logs.read(attempt, start, MAX_CHUNK))
            .await;
        match read.ok_or_else(ending)? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(LogError::Missing(_)) => Ok(None),
            Err(error) => Err(RpcError::failed(error.to_string())),
        }
    }

    /// Returns the log of an attempt, if it may grow.
    fn growing_log(
        &self,
        attempt: AttemptId,
    ) -> Result<Option<watch::Receiver<LogState>>, RpcError> {
        let state = self.state.borrow();
        if let Some(ending) = state.ending_logs.get(&attempt) {
            return Ok(Some(ending.subscribe()));
        }
        if self.partial_logs.borrow().contains(&attempt) {
            return Err(with_its_worker(attempt));
        }
        let Some(live) = state.live.get(&attempt.job) else {
            return Ok(None);
        };
        // The log of the first attempt can be waited for from the submission on.
        match live.attempts.max(1).cmp(&attempt.number) {
            Ordering::Greater => Ok(None),
            // It was lost, and the job waits for another one.
            Ordering::Equal if live.attempts > 0 && Self::is_waiting(&state.jobs, attempt.job) => {
                Ok(None)
            }
            Ordering::Equal => Ok(Some(live.log.subscribe())),
            Ordering::Less => Err(RpcError::failed(format!("{attempt} has not begun"))),
        }
    }

    pub(super) fn is_waiting(jobs: &Jobs, job: JobId) -> bool {
        matches!(jobs.stage(job), Some(Stage::Queued { .. }))
    }

    /// Cancels a job for its client.
    pub(crate) async fn cancel(&self, job: JobId) -> Result<(), RpcError> {
        self.cancel_by(job, CancelledBy::Client).await
    }

    /// Cancels a job. When this returns, that is on disk; the worker of an attached job was asked to stop it.
    pub(super) async fn cancel_by(&self, job: JobId, by: CancelledBy) -> Result<(), RpcError> {
        if let Some(attached) = self.attached.find(job) {
            return self.cancel_attached(&attached, by).await;
        }
        let (request, answered) = self.request();
        let cancelled = self.apply(|jobs, now| jobs.cancel(now, job, by, request));
        if let Err(error) = cancelled {
            self.state.borrow_mut().requests.remove(&request);
            // It may also wait for a pool that this scheduler does not have.
            self.watch(job, None).await?;
            return Err(RpcError::failed(error.to_string()));
        }
        answered
            .await
            .unwrap_or_else(|oneshot::Canceled| Err(ending()))
            .map(drop)
    }
}

/// Returns how many jobs are before one that waits, and why no worker takes jobs.
pub(super) fn waiting(position: Option<TicketState>) -> (u32, Option<String>) {
    match position {
        Some(TicketState::Queued { position, obstacle }) => {
            let obstacle = obstacle.map(|obstacle| obstacle.to_string());
            (position.ahead, obstacle)
        }
        _ => (0, None),
    }
}

/// Returns what makes a piece of a log of the bytes at an offset.
fn chunk_at(start: u64) -> impl Fn(Vec<u8>) -> DurableLogChunk {
    move |bytes| DurableLogChunk {
        next: start.saturating_add(bytes.len() as u64),
        bytes,
    }
}
