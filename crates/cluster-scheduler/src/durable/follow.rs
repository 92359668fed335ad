//! Follows a ticket of a pool to its end: keeps its log while it is written, and reports how the attempt ended.

use std::cell::RefCell;
use std::rc::Rc;

use cluster_api::{CancelledBy as WireCancelledBy, Job, Outcome};
use jobs::{AttemptId, CancelError, CancelledBy, JobId, RequestId};
use pool::WorkerName;
use tokio::sync::watch;

use super::live::LogState;
use super::{DurableJobs, State, convert};

/// A ticket, and the attempt that it becomes when a worker takes it.
pub(super) struct Run {
    pub(super) job: JobId,
    attempt: RefCell<Option<(u32, WorkerName)>>,
}

impl Run {
    pub(super) fn new(job: JobId) -> Rc<Self> {
        Rc::new(Self {
            job,
            attempt: RefCell::new(None),
        })
    }

    /// A worker has taken the ticket.
    pub(super) fn begin(&self, number: u32, worker: WorkerName) {
        self.attempt.replace(Some((number, worker)));
    }

    fn attempt(&self) -> Option<(AttemptId, WorkerName)> {
        let (number, worker) = self.attempt.borrow().clone()?;
        Some((
            AttemptId {
                job: self.job,
                number,
            },
            worker,
        ))
    }
}

/// The most that is kept of a log, in bytes: twice what our workers allow unless told otherwise.
const MAX_LOG_BYTES: u64 = 2 << 30;

/// Requests of this module itself, which nobody waits for.
pub(super) const NOBODY: RequestId = RequestId(0);

impl DurableJobs {
    /// Follows a ticket. The job goes on without this as long as there is another reference to it.
    pub(super) async fn follow(self: Rc<Self>, run: Rc<Run>, job: Job) {
        self.copy_log(&run, &job).await;
        let outcome = match job.result().await {
            Ok(output) => Outcome::Succeeded(output),
            Err(error) => job.explain(error).await,
        };
        let Some((attempt, worker)) = run.attempt() else {
            self.left_the_queue(run.job, &outcome);
            return;
        };
        self.finish_log(attempt).await;
        self.apply(|jobs, now| {
            if matches!(outcome, Outcome::Cancelled(WireCancelledBy::Operator)) {
                // An error means that it has ended already.
                let _: Result<(), CancelError> =
                    jobs.cancel(now, attempt.job, CancelledBy::Operator, NOBODY);
            }
            jobs.attempt_ended(now, attempt, &worker, convert::attempt_end(outcome));
            jobs.log_kept(attempt, &worker);
        });
    }

    /// The ticket was taken out of the queue. If that was not done here, an operator did it.
    fn left_the_queue(&self, job: JobId, outcome: &Outcome) {
        self.state
            .borrow_mut()
            .ending_logs
            .retain(|attempt, _| attempt.job != job);
        if !matches!(outcome, Outcome::Cancelled(WireCancelledBy::Client)) {
            let _: Result<(), CancelError> =
                self.apply(|jobs, now| jobs.cancel(now, job, CancelledBy::Operator, NOBODY));
        }
    }

    /// Appends the log to the store as it grows, until it ends or is lost.
    async fn copy_log(&self, run: &Run, job: &Job) {
        let mut offset: u64 = 0;
        loop {
            let start = i64::try_from(offset).unwrap_or(i64::MAX);
            let Ok(chunk) = job.log(start).await else {
                return;
            };
            let (Some((attempt, _)), false) = (run.attempt(), chunk.bytes.is_empty()) else {
                return;
            };
            if chunk.next <= start {
                tracing::warn!(
                    target: "scheduler",
                    "The log of {attempt} does not advance; the rest is not kept"
                );
                return;
            }
            let end = offset.saturating_add(chunk.bytes.len() as u64);
            if end > MAX_LOG_BYTES {
                tracing::warn!(
                    target: "scheduler",
                    "The log of {attempt} has more than {MAX_LOG_BYTES} bytes; the rest is not kept"
                );
                return;
            }
            let bytes = chunk.bytes;
            let appended = self
                .store
                .run(move |kept| kept.append(attempt, offset, &bytes))
                .await;
            match appended {
                Some(Ok(())) => self.log_grew(attempt, end),
                Some(Err(error)) => {
                    tracing::warn!(target: "scheduler", "Cannot keep the log of {attempt}: {error}");
                    return;
                }
                None => return,
            }
            offset = end;
        }
    }

    fn log_grew(&self, attempt: AttemptId, length: u64) {
        let mut state = self.state.borrow_mut();
        let now = self.clock.unix_now();
        state.jobs.log_grew(now, attempt);
        if let Some(log) = state.growing_log(attempt) {
            log.send_replace(LogState {
                length,
                is_complete: false,
            });
        }
    }

    async fn finish_log(&self, attempt: AttemptId) {
        if let Some(Err(error)) = self.store.run(move |kept| kept.finish(attempt)).await {
            tracing::warn!(target: "scheduler", "Cannot complete the log of {attempt}: {error}");
        }
        let mut state = self.state.borrow_mut();
        if let Some(log) = state.growing_log(attempt) {
            log.send_modify(|log| log.is_complete = true);
        }
        state.ending_logs.remove(&attempt);
    }
}

impl State {
    /// Returns the log of an attempt that may still grow.
    fn growing_log(&self, attempt: AttemptId) -> Option<&watch::Sender<LogState>> {
        match self.live.get(&attempt.job) {
            Some(live) => (live.attempts == attempt.number).then_some(&live.log),
            None => self.ending_logs.get(&attempt),
        }
    }
}
