//! When the parts of an attempt began and ended, and when its log was written: copied from its worker while it runs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cluster_api::{Answer, Job, JobTimes, LogTime, MAX_PHASES, Phase};
use job_store::ChangedPhases;
use jobs::AttemptId;
use tokio::sync::Notify;

use super::state::{AttemptTimes, Run};
use super::watched::Watched;
use super::{DurableJobs, convert};
use crate::attached::AttachedJob;

/// How often a worker is asked for the times of an attempt whose log grows.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker may take to answer. Ours answer at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The growth of a log that is copied.
#[derive(Default)]
pub(super) struct Growth {
    has_grown: Cell<bool>,
    has_ended: Cell<bool>,
    changed: Notify,
}

impl Growth {
    /// There is more of it.
    pub(super) fn grew(&self) {
        self.has_grown.set(true);
        self.changed.notify_one();
    }

    /// There will be no more of it.
    pub(super) fn end(&self) {
        self.has_ended.set(true);
        self.changed.notify_one();
    }

    /// Waits until it has ended, or grown since this was called before. Returns whether it has ended.
    async fn next(&self) -> bool {
        while !self.has_grown.get() && !self.has_ended.get() {
            self.changed.notified().await;
        }
        self.has_grown.set(false);
        self.has_ended.get()
    }

    /// Waits until it has ended, but no longer than this.
    async fn end_within(&self, time: Duration) {
        let ended = async {
            while !self.has_ended.get() {
                self.changed.notified().await;
            }
        };
        // An error means that it goes on.
        drop(tokio::time::timeout(time, ended).await);
    }
}

/// Where the next answer continues.
struct Position {
    version: u64,
    offset: u64,
}

/// Why no more times are copied.
struct NoTimes;

/// Asks a worker for the times since a version and an offset. `None` if its job is not there any more.
type Ask<'a> = &'a dyn Fn(u64, u64) -> Option<Answer<JobTimes>>;

/// Forgets the times of an attempt that is not followed any more.
struct ForgottenAtEnd<'a> {
    jobs: &'a DurableJobs,
    attempt: AttemptId,
    copier: Rc<()>,
}

impl Drop for ForgottenAtEnd<'_> {
    fn drop(&mut self) {
        let times = &mut self.jobs.state.borrow_mut().times;
        if times
            .get(&self.attempt)
            .is_some_and(|times| Rc::ptr_eq(&times.copier, &self.copier))
        {
            times.remove(&self.attempt);
        }
    }
}

impl DurableJobs {
    /// Copies the times of an attempt into the store while its log grows, of which so much was kept before.
    pub(super) async fn copy_times(&self, run: &Rc<Run>, job: &Job, kept: u64, growth: &Growth) {
        // Workers that keep nothing have no times.
        if !run.outlives_connection {
            return;
        }
        let _times = self.keep_times_of(run.attempt, kept);
        let offset = match kept {
            0 => 0,
            _ => self.first_unknown(run.attempt).await,
        };
        let ask = |version, offset| Some(job.times(version, offset));
        self.copy_growing_times(run.attempt, offset, growth, &ask)
            .await;
    }

    /// Copies the times of an attached job, which nobody may hold while it runs, as [`copy_times`](Self::copy_times)
    /// does.
    pub(super) async fn copy_attached_times(&self, job: &AttachedJob, growth: &Growth) {
        if !job.has_times() {
            return;
        }
        let attempt = job.attempt_id();
        let _times = self.keep_times_of(attempt, 0);
        // Those of a short one are asked for once.
        growth.end_within(INTERVAL).await;
        // Phases of a job that is not in the history are dropped.
        job.until_saved().await;
        let ask = |version, offset| Some(job.job()?.times(version, offset));
        self.copy_growing_times(attempt, 0, growth, &ask).await;
    }

    /// Keeps the times of an attempt of whose log so many bytes are kept, until what is returned is dropped.
    fn keep_times_of(&self, attempt: AttemptId, kept: u64) -> ForgottenAtEnd<'_> {
        let copier = Rc::new(());
        let times = AttemptTimes {
            copier: Rc::clone(&copier),
            phases: BTreeMap::new(),
            known: Watched::new(kept),
        };
        self.state.borrow_mut().times.insert(attempt, times);
        ForgottenAtEnd {
            jobs: self,
            attempt,
            copier,
        }
    }

    /// Copies the times of an attempt from an offset on, while its log grows.
    async fn copy_growing_times(
        &self,
        attempt: AttemptId,
        offset: u64,
        growth: &Growth,
        ask: Ask<'_>,
    ) {
        let mut position = Position { version: 0, offset };
        loop {
            let is_last = growth.next().await;
            if self
                .copy_new_times(attempt, ask, &mut position)
                .await
                .is_err()
            {
                return;
            }
            if is_last {
                self.count_phases(attempt);
                return;
            }
            growth.end_within(INTERVAL).await;
        }
    }

    /// Returns the first offset of a log whose time is not kept.
    async fn first_unknown(&self, attempt: AttemptId) -> u64 {
        let last = self.store.run(move |kept| kept.logs.last_time(attempt));
        let last = last.await.and_then(Result::ok).flatten();
        last.map_or(0, |last| last.offset.saturating_add(1))
    }

    async fn copy_new_times(
        &self,
        attempt: AttemptId,
        ask: Ask<'_>,
        position: &mut Position,
    ) -> Result<(), NoTimes> {
        loop {
            let answer = ask(position.version, position.offset).ok_or(NoTimes)?;
            let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await;
            let times = match answer {
                Ok(Ok(times)) => times,
                Ok(Err(error)) => {
                    // An older worker reports none.
                    tracing::debug!(target: "scheduler", "No times of {attempt}: {error}");
                    return Err(NoTimes);
                }
                Err(_) => return Err(NoTimes),
            };
            let is_full = times.is_full() && times.log_length > position.offset;
            *position = Position {
                version: times.version,
                offset: times.log_length,
            };
            self.keep_times(attempt, times);
            if !is_full {
                return Ok(());
            }
        }
    }

    fn keep_times(&self, attempt: AttemptId, times: JobTimes) {
        let JobTimes {
            phases,
            log,
            log_length,
            version: _,
        } = times;
        let is_phase = |(number, _): &(u32, Phase)| (*number as usize) < MAX_PHASES;
        let phases: Vec<_> = phases.into_iter().filter(is_phase).collect();
        if let (false, Some(committer)) = (phases.is_empty(), &*self.committer.borrow()) {
            let changed = phases.iter().map(convert::stored_phase);
            committer.save_phases(ChangedPhases {
                attempt,
                phases: changed.collect(),
            });
        }
        if !log.is_empty() {
            self.keep_log_times(attempt, log);
        }
        if let Some(known) = self.state.borrow_mut().times.get_mut(&attempt) {
            known.phases.extend(phases);
            known.known.send_replace(log_length);
        }
    }

    fn keep_log_times(&self, attempt: AttemptId, log: Vec<LogTime>) {
        let log: Vec<_> = log.into_iter().map(convert::stored_log_time).collect();
        let added = self.store.run(move |kept| {
            if let Err(error) = kept.logs.add_times(attempt, &log) {
                // The log has the same disk, and says so.
                tracing::debug!(target: "scheduler", "Cannot keep when the log of {attempt} was written: {error}");
            }
        });
        drop(added);
    }

    /// An attempt has ended: how long its phases took is counted.
    fn count_phases(&self, attempt: AttemptId) {
        let state = self.state.borrow();
        let submitted = state.jobs.submitted(attempt.job);
        let pool = submitted.map(|job| Arc::clone(&job.pool));
        let pool = pool.or_else(|| Some(self.attached.find(attempt.job)?.pool()));
        let (Some(pool), Some(times)) = (pool, state.times.get(&attempt)) else {
            return;
        };
        for phase in times.phases.values() {
            self.phase_seconds.add(Arc::clone(&pool), phase);
        }
    }
}
