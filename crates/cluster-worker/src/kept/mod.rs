//! The attempts of durable jobs that this worker keeps: they go on while the connection to the scheduler is lost, and
//! their logs and outcomes stay until the scheduler has stored them.
//!
//! [`Kept`] decides, and the [`directory`](AttemptsDir) keeps. Here is what connects them with the running jobs.

mod directory;
mod restored;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::Duration;

use cluster_api::{AttemptName, HeldAttempt, HeldState, Job, MAX_HELD_ATTEMPTS, Outcome};
use jobs::{AttemptId, CancelReason, DeleteReason, Kept, KeptEffect, KeptLimits};
use tokio::sync::Notify;

use self::directory::{AttemptsDir, Left};
use self::restored::RestoredJob;
use crate::cancel::Reason;
use crate::clock::Clock;
use crate::job::ServedJob;

/// What is kept of attempts that have ended while the scheduler does not fetch it: for a week, and less than a disk.
const LIMITS: KeptLimits = KeptLimits {
    age: Duration::from_secs(7 * 24 * 3600),
    bytes: 10 << 30,
    attempts: 1000,
};

/// The longest outcome that is sent when this worker connects, in bytes: a thousand fit into a message. The scheduler
/// asks for longer ones.
const MAX_HELD_OUTCOME: usize = 16 << 10;

/// The attempts that this worker keeps.
pub(crate) struct KeptAttempts {
    this: Weak<Self>,
    directory: AttemptsDir,
    clock: Clock,
    state: RefCell<State>,
    /// Wakes the task: the deadline has moved.
    wake: Notify,
}

struct State {
    kept: Kept,
    jobs: BTreeMap<AttemptId, KeptJob>,
}

/// A job that is kept.
#[derive(Clone)]
enum KeptJob {
    /// Of this process.
    Served(Rc<ServedJob>),
    /// Of an earlier process.
    Restored(Rc<RestoredJob>),
}

/// One attempt that is kept.
struct Keeper {
    attempts: Weak<KeptAttempts>,
    attempt: AttemptId,
}

impl Keeper {
    /// The scheduler does not need what is kept of the attempt.
    fn forget(&self) {
        if let Some(attempts) = self.attempts.upgrade() {
            attempts.apply(|kept| kept.forget(self.attempt));
        }
    }
}

impl KeptAttempts {
    /// Opens the directory of attempts, and continues with what an earlier process has left there.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub(crate) fn open(path: &Path) -> io::Result<Rc<Self>> {
        let (directory, left) = AttemptsDir::open(path)?;
        let mut kept = Kept::new(LIMITS);
        for Left {
            attempt,
            at,
            length,
            ..
        } in &left
        {
            kept.restore(*attempt, *at, *length);
        }
        let attempts = Rc::new_cyclic(|this: &Weak<Self>| {
            let jobs = left.into_iter().map(|left| {
                let attempt = left.attempt;
                let keeper = Keeper {
                    attempts: Weak::clone(this),
                    attempt,
                };
                let job = Rc::new(RestoredJob::new(left, keeper));
                (attempt, KeptJob::Restored(job))
            });
            let state = State {
                jobs: jobs.collect(),
                kept,
            };
            Self {
                this: Weak::clone(this),
                directory,
                clock: Clock::start(),
                state: RefCell::new(state),
                wake: Notify::new(),
            }
        });
        Ok(attempts)
    }

    /// Deletes what is too old, and stops what runs when the scheduler has been away for too long. Never ends.
    pub(crate) async fn run(&self) -> Infallible {
        loop {
            let now = self.clock.now();
            self.apply(|kept| kept.advance(now));
            let deadline = self.state.borrow().kept.next_deadline();
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.clock.reach(deadline) => {}
            }
        }
    }

    /// The scheduler has answered this worker's registration. Without a connection, what runs goes on for `grace`.
    pub(crate) fn connected(&self, grace: Duration) {
        self.apply(|kept| kept.connected(grace));
    }

    /// There is no connection to the scheduler.
    pub(crate) fn disconnected(&self) {
        let now = self.clock.now();
        self.apply(|kept| kept.disconnected(now));
    }

    /// Returns whether an attempt runs.
    pub(crate) fn has_running(&self) -> bool {
        self.state.borrow().kept.has_running()
    }

    /// Returns what the scheduler is told of when this worker connects.
    pub(crate) fn held(&self) -> Vec<HeldAttempt> {
        let state = self.state.borrow();
        let held = state.kept.held().into_iter();
        let held = held.filter_map(|attempt| Some(state.jobs.get(&attempt)?.held(attempt)));
        let mut held: Vec<_> = held.collect();
        // One that runs is run again if it is not listed.
        held.sort_by_key(|held| held.state != HeldState::Running);
        held.truncate(usize::try_from(MAX_HELD_ATTEMPTS).unwrap_or(usize::MAX));
        held
    }

    /// A job is an attempt of a durable job: it is kept from now on. It has not written to its log yet.
    pub(crate) fn begin(&self, attempt: AttemptId, job: &Rc<ServedJob>) {
        job.log().keep_at(&self.directory.log(attempt));
        let keeper = Keeper {
            attempts: Weak::clone(&self.this),
            attempt,
        };
        job.keep(Rc::new(move || keeper.forget()));
        let kept = KeptJob::Served(Rc::clone(job));
        self.state.borrow_mut().jobs.insert(attempt, kept);
        self.apply(|kept| kept.begin(attempt));
    }

    /// The job of an attempt has ended. When this returns, log and outcome are on disk, or the disk has failed.
    pub(crate) async fn ended(&self, attempt: AttemptId, job: &ServedJob) {
        if let Err(error) = self.save(attempt, job).await {
            tracing::warn!(
                "Cannot keep the outcome of {attempt}: {error}; if this worker ends before its scheduler has it, the \
                 job is run again"
            );
        }
        let now = self.clock.now();
        let length = job.log().length();
        self.apply(|kept| kept.ended(now, attempt, length));
    }

    async fn save(&self, attempt: AttemptId, job: &ServedJob) -> Result<(), String> {
        let synced = job.log().sync().await;
        synced.map_err(|error| error.to_string())?;
        job.log().save_times().await;
        let outcome = job.outcome_so_far().ok_or("it has not ended")?;
        let outcome = outcome.to_bytes().map_err(|error| error.to_string())?;
        self.directory.save_outcome(attempt, outcome).await
    }

    /// Reports an event, and does what is needed.
    fn apply(&self, event: impl FnOnce(&mut Kept)) {
        let deadline = || self.state.borrow().kept.next_deadline();
        let before = deadline();
        event(&mut self.state.borrow_mut().kept);
        while let Some(effect) = self.next_effect() {
            match effect {
                KeptEffect::Cancel { attempt, reason } => self.cancel(attempt, reason),
                KeptEffect::Delete { attempt, reason } => self.delete(attempt, reason),
            }
        }
        if deadline() != before {
            self.wake.notify_one();
        }
    }

    fn next_effect(&self) -> Option<KeptEffect> {
        self.state.borrow_mut().kept.next_effect()
    }

    fn cancel(&self, attempt: AttemptId, reason: CancelReason) {
        let job = self.state.borrow().jobs.get(&attempt).cloned();
        let Some(KeptJob::Served(job)) = job else {
            return;
        };
        // It has just ended, and its outcome is being saved.
        if job.outcome_so_far().is_some() {
            return;
        }
        let why = match reason {
            CancelReason::SchedulerAway(time) => {
                format!(
                    "the scheduler has not been connected for {} s",
                    time.as_secs_f64()
                )
            }
            CancelReason::GivenUp => "the scheduler has given it up".to_owned(),
        };
        tracing::warn!("Cancelling {attempt}: {why}");
        // An error means that the log is full or broken. The worker's log has the line.
        drop(job.log().line(format_args!("Cancelling: {why}")));
        job.cancel_token().cancel_because(Reason::GivenUp);
    }

    fn delete(&self, attempt: AttemptId, reason: DeleteReason) {
        let why = match reason {
            DeleteReason::Forgotten => None,
            DeleteReason::Age => Some("it ended too long ago"),
            DeleteReason::Size => {
                Some("what is kept takes too much space, and this is the oldest part")
            }
        };
        if let Some(why) = why {
            tracing::warn!(
                "Deleting the log and the outcome of {attempt}, which the scheduler has not fetched: {why}"
            );
        }
        let job = self.state.borrow_mut().jobs.remove(&attempt);
        drop(job);
        self.directory.delete(attempt);
    }
}

impl KeptJob {
    fn held(&self, attempt: AttemptId) -> HeldAttempt {
        let (job, state) = match self {
            Self::Served(job) => {
                let state = job.outcome_so_far();
                let state = state.map_or(HeldState::Running, HeldState::Ended);
                (Job::serve(Rc::clone(job)), state)
            }
            Self::Restored(job) => (Job::serve(Rc::clone(job)), job.state()),
        };
        let state = match state {
            HeldState::Ended(outcome) if !is_short(&outcome) => HeldState::Running,
            state => state,
        };
        HeldAttempt {
            attempt: AttemptName {
                job: attempt.job.to_string(),
                number: attempt.number,
            },
            job,
            state,
        }
    }
}

/// Returns whether an outcome is sent when this worker connects.
fn is_short(outcome: &Outcome) -> bool {
    let bytes = outcome.to_bytes();
    bytes.is_ok_and(|bytes| bytes.len() <= MAX_HELD_OUTCOME)
}
