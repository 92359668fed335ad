//! Follows an attempt to its end: keeps its log while it is written, and reports how the attempt ended.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{CancelledBy as WireCancelledBy, Job, Outcome, RpcErrorKind};
use job_store::logs::LogError;
use jobs::{AttemptEnd, AttemptId, CancelError, CancelledBy, LossReason, RequestId, Stage};
use pool::TicketId;

use super::retention::FailingLog;
use super::state::{Followed, Run};
use super::times::Growth;
use super::{DurableJobs, convert, outcome};
use crate::history::JobResult;
use crate::reactor::Reactor;

/// Where the log of an attempt ended.
enum LogEnd {
    /// At its end, or where it could not be read or kept any more.
    Complete,
    /// The connection to its worker was lost.
    Disconnected,
}

/// What became of a piece of a log.
enum Appended {
    /// It is kept; the next one begins where it ends.
    Kept { piece: Vec<u8>, end: u64 },
    /// The log has reached its limit.
    Full,
    /// It cannot be written.
    Failed(LogError),
    /// The scheduler ends.
    Closing,
}

/// The most that is kept of a log, in bytes: twice what our workers allow unless told otherwise.
const MAX_LOG_BYTES: u64 = 2 << 30;

/// How long to wait before a log is written again that could not be, as the disk is full.
const REWRITE_AFTER: Duration = Duration::from_secs(5);

/// Requests of this module itself, which nobody waits for.
pub(super) const NOBODY: RequestId = RequestId(0);

impl DurableJobs {
    /// Follows an attempt that its worker has returned with.
    pub(super) async fn follow_returned(self: Rc<Self>, run: Rc<Run>, job: Job) {
        let start = self.kept_length(run.attempt).await;
        self.follow(run, job, start).await;
    }

    /// Follows an attempt, of whose log so many bytes are kept: none of a new one.
    pub(super) async fn follow(self: Rc<Self>, run: Rc<Run>, job: Job, start: u64) {
        let attempt = run.attempt;
        let growth = Growth::default();
        let copied = async {
            let end = self.copy_log(attempt, &job, start, &growth).await;
            growth.end();
            match end {
                // There is no outcome to wait for.
                LogEnd::Complete if run.is_interrupted => None,
                LogEnd::Complete | LogEnd::Disconnected => {
                    Some(outcome::of(&job, run.outlives_connection).await)
                }
            }
        };
        // The worker keeps the times until the end of the attempt is acknowledged.
        let times = self.copy_times(&run, &job, start, &growth);
        let (outcome, ()) = futures::join!(copied, times);
        if run.outlives_connection && matches!(outcome, Some(Outcome::Lost { .. })) {
            // Its worker returns with it, or is given up.
            self.lost_sight(&run).await;
            return;
        }
        let is_finished = self.finish_log(attempt).await;
        let is_kept = is_finished && self.acknowledging_store().is_none();
        let result = match &outcome {
            Some(outcome) => JobResult::of_outcome(outcome),
            None => JobResult::Lost,
        };
        self.apply(|jobs, now| {
            if matches!(outcome, Some(Outcome::Cancelled(WireCancelledBy::Operator))) {
                // An error means that it has ended already.
                let _: Result<(), CancelError> =
                    jobs.cancel(now, attempt.job, CancelledBy::Operator, NOBODY);
            }
            let end = outcome.map_or(
                AttemptEnd::Lost(LossReason::Interrupted),
                convert::attempt_end,
            );
            jobs.attempt_ended(now, attempt, &run.worker, end);
            if is_kept {
                jobs.log_kept(attempt, &run.worker);
            }
        });
        self.left_worker(&run, result);
        if !is_kept {
            self.acknowledge_later(&run, is_finished).await;
        }
    }

    /// Completes the log of an attempt that has ended, when the disk takes it again, and waits until it is in the log
    /// store if it is to be there. Until then its worker keeps it.
    async fn acknowledge_later(&self, run: &Rc<Run>, mut is_finished: bool) {
        while !is_finished {
            tokio::time::sleep(REWRITE_AFTER).await;
            if !self.is_followed(run) {
                // Its worker has left, and lists it when it returns.
                return;
            }
            is_finished = self.finish_log(run.attempt).await;
        }
        let is_kept =
            self.acknowledging_store().is_none() || self.until_uploaded(run.attempt).await;
        if is_kept && self.is_followed(run) {
            self.apply(|jobs, _| jobs.log_kept(run.attempt, &run.worker));
        }
    }

    fn is_followed(&self, run: &Rc<Run>) -> bool {
        let state = self.state.borrow();
        let followed = state.runs.get(&run.attempt);
        followed.is_some_and(|followed| Rc::ptr_eq(&followed.run, run))
    }

    /// A worker has an attempt, which is followed from now on.
    pub(super) fn began(&self, run: &Rc<Run>, job: Job, adopted: Option<(Rc<Reactor>, TicketId)>) {
        let followed = Followed {
            run: Rc::clone(run),
            job,
            adopted,
        };
        let before = self.state.borrow_mut().runs.insert(run.attempt, followed);
        // It may hold the last reference to a job of a connection that was lost.
        if let Some(before) = before {
            before.end(JobResult::Disconnected);
        }
    }

    /// The worker does not run an attempt any more: the pool does not count it, if this module has to say so.
    fn left_worker(&self, run: &Rc<Run>, result: JobResult) {
        let adopted = {
            let runs = &mut self.state.borrow_mut().runs;
            let followed = runs.get_mut(&run.attempt);
            let followed = followed.filter(|followed| Rc::ptr_eq(&followed.run, run));
            followed.and_then(|followed| followed.adopted.take())
        };
        if let Some((pool, ticket)) = adopted {
            pool.job_finished(ticket, result);
        }
    }

    /// The connection was lost over which an attempt was followed.
    async fn lost_sight(&self, run: &Rc<Run>) {
        let attempt = run.attempt;
        let (followed, is_current) = {
            let state = &mut *self.state.borrow_mut();
            let current = state.jobs.stage(attempt.job).and_then(Stage::attempt);
            let is_current = current.is_some_and(|current| current.number == attempt.number);
            match state.runs.get(&attempt) {
                Some(followed) if Rc::ptr_eq(&followed.run, run) => {
                    (state.runs.remove(&attempt), is_current)
                }
                // It is followed over another connection.
                _ => return,
            }
        };
        if let Some(followed) = followed {
            followed.end(JobResult::Disconnected);
        }
        if is_current {
            self.recent_logs.borrow_mut().remove(attempt);
            self.store.run(move |kept| kept.pause(attempt)).await;
        } else {
            self.finish_log(attempt).await;
        }
    }

    /// Returns how much of the log of an attempt is kept.
    pub(super) async fn kept_length(&self, attempt: AttemptId) -> u64 {
        let length = self.store.run(move |kept| kept.logs.length(attempt)).await;
        let length = match length {
            Some(Ok(length)) => length,
            // There is none yet, or the error is seen when it is written.
            Some(Err(_)) | None => 0,
        };
        self.show_log(attempt, length);
        length
    }

    /// Appends the log to the store. Returns whether that was all of it, or the connection was lost.
    pub(super) async fn copy_whole_log(
        &self,
        attempt: AttemptId,
        job: &Job,
        offset: u64,
        growth: &Growth,
    ) -> bool {
        match self.copy_log(attempt, job, offset, growth).await {
            LogEnd::Complete => true,
            LogEnd::Disconnected => {
                self.store.run(move |kept| kept.pause(attempt)).await;
                false
            }
        }
    }

    /// Appends the log to the store as it grows, until it ends or is lost.
    async fn copy_log(
        &self,
        attempt: AttemptId,
        job: &Job,
        mut offset: u64,
        growth: &Growth,
    ) -> LogEnd {
        let mut failing = None;
        let mut is_last = false;
        let mut ahead = None;
        loop {
            let start = i64::try_from(offset).unwrap_or(i64::MAX);
            let chunk = match ahead.take().unwrap_or_else(|| job.log(start)).await {
                Ok(chunk) => chunk,
                Err(error) if error.kind == RpcErrorKind::Disconnected => {
                    return LogEnd::Disconnected;
                }
                Err(_) => return LogEnd::Complete,
            };
            if chunk.bytes.is_empty() {
                return LogEnd::Complete;
            }
            if chunk.next <= start {
                tracing::warn!(
                    target: "scheduler",
                    "The log of {attempt} does not advance; the rest is not kept"
                );
                return LogEnd::Complete;
            }
            // The next piece is on its way while this one is written.
            let end = start.saturating_add_unsigned(chunk.bytes.len() as u64);
            let next = job.log(end);
            match self.append_chunk(attempt, offset, chunk.bytes).await {
                Appended::Kept { piece, end } => {
                    self.recent_logs.borrow_mut().add(attempt, offset, piece);
                    self.log_grew(attempt, end);
                    growth.grew();
                    offset = end;
                    ahead = Some(next);
                }
                // The worker keeps it, and is asked for the same bytes again.
                Appended::Failed(LogError::Disk { source, .. }) if !is_last => {
                    failing.get_or_insert_with(|| {
                        tracing::warn!(
                            target: "scheduler",
                            "Cannot keep the log of {attempt}: {source}; retrying until the attempt has ended"
                        );
                        FailingLog::new(&self.logs)
                    });
                    is_last = self.wait_to_retry(job).await;
                    continue;
                }
                Appended::Failed(error) => {
                    tracing::warn!(
                        target: "scheduler",
                        "Cannot keep the log of {attempt} after its first {offset} bytes: {error}"
                    );
                    return LogEnd::Complete;
                }
                Appended::Full | Appended::Closing => return LogEnd::Complete,
            }
            if failing.take().is_some() {
                tracing::info!(target: "scheduler", "The log of {attempt} can be kept again");
            }
        }
    }

    /// Appends a piece to the log of an attempt.
    async fn append_chunk(&self, attempt: AttemptId, offset: u64, bytes: Vec<u8>) -> Appended {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > MAX_LOG_BYTES {
            tracing::warn!(
                target: "scheduler",
                "The log of {attempt} has more than {MAX_LOG_BYTES} bytes; the rest is not kept"
            );
            return Appended::Full;
        }
        let appended = self
            .store
            .run(move |kept| kept.append(attempt, offset, &bytes).map(|()| bytes))
            .await;
        match appended {
            Some(Ok(piece)) => Appended::Kept { piece, end },
            Some(Err(error)) => Appended::Failed(error),
            None => Appended::Closing,
        }
    }

    /// Appends a piece to the log of an attached job. Returns where the next one belongs; `None` if no more can be
    /// kept.
    pub(super) async fn keep_chunk(
        &self,
        attempt: AttemptId,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Option<u64> {
        match self.append_chunk(attempt, offset, bytes).await {
            Appended::Kept { end, .. } => Some(end),
            Appended::Failed(error) => {
                tracing::warn!(target: "scheduler", "Cannot keep the log of {attempt}: {error}");
                None
            }
            Appended::Full | Appended::Closing => None,
        }
    }

    /// Waits before a log is written again that could not be. Returns whether the attempt has ended, so that this is
    /// the last time: nothing else waits for a log.
    async fn wait_to_retry(&self, job: &Job) -> bool {
        let ended = job.result();
        tokio::select! {
            _ = ended => true,
            () = tokio::time::sleep(REWRITE_AFTER) => false,
        }
    }

    fn log_grew(&self, attempt: AttemptId, length: u64) {
        let now = self.clock.unix_now();
        self.state.borrow_mut().jobs.log_grew(now, attempt);
        self.show_log(attempt, length);
    }

    /// Shows those who read the log of an attempt how much of it is kept.
    pub(super) fn show_log(&self, attempt: AttemptId, length: u64) {
        let state = self.state.borrow();
        if let Some(log) = state.growing_log(attempt) {
            log.send_if_modified(|log| {
                let is_news = log.length < length;
                log.length = log.length.max(length);
                is_news
            });
        }
    }

    /// Completes the log of an attempt: nothing is added any more. Returns whether it is on disk.
    pub(super) async fn finish_log(&self, attempt: AttemptId) -> bool {
        let finished = self.store.run(move |kept| kept.finish(attempt)).await;
        if let Some(Err(error)) = &finished {
            tracing::warn!(target: "scheduler", "Cannot complete the log of {attempt}: {error}");
        }
        let mut state = self.state.borrow_mut();
        if let Some(log) = state.growing_log(attempt) {
            log.send_modify(|log| log.is_complete = true);
        }
        state.ending_logs.remove(&attempt);
        self.recent_logs.borrow_mut().remove(attempt);
        matches!(finished, Some(Ok(())))
    }
}
