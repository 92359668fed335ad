//! What a worker keeps of the attempts of durable jobs, and for how long.
//!
//! [`Kept`] is the worker's counterpart of [`Jobs`](crate::Jobs): a plain value without a clock, which is told what
//! happened and asks for effects. The worker keeps the log and the end of each attempt until its scheduler has both on
//! disk. Without a connection, what runs goes on for the grace period of the scheduler, and what has ended stays until
//! it is too old or takes too much space.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use pool::Time;

use crate::AttemptId;

/// How much a worker keeps of the attempts that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLimits {
    /// For how long.
    pub age: Duration,
    /// How many bytes together.
    pub bytes: u64,
    /// How many attempts.
    pub attempts: usize,
}

/// What the worker must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptEffect {
    /// Stop the attempt, and report its end with [`Kept::ended`].
    Cancel {
        /// The attempt, which runs.
        attempt: AttemptId,
        /// Why.
        reason: CancelReason,
    },
    /// Delete the log and the end of the attempt. It does not run.
    Delete {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: DeleteReason,
    },
}

/// Why an attempt is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// There was no connection to the scheduler for this time.
    SchedulerAway(Duration),
    /// The scheduler has given it up.
    GivenUp,
}

/// Why the log and the end of an attempt are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteReason {
    /// The scheduler has both, or does not want them.
    Forgotten,
    /// It ended too long ago.
    Age,
    /// All that is kept takes too much space, and this is the oldest.
    Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It runs.
    Running,
    /// It was asked to stop, as the scheduler was away.
    Stopping,
    /// It was asked to stop, and is deleted when it has ended.
    Unwanted,
    /// It has ended, or was interrupted.
    Ended {
        /// When.
        at: Time,
        /// How much space it takes.
        bytes: u64,
    },
}

/// The attempts that a worker keeps.
#[derive(Debug)]
pub struct Kept {
    limits: KeptLimits,
    attempts: BTreeMap<AttemptId, State>,
    /// How long what runs goes on without a connection.
    grace: Duration,
    /// When to give up waiting for a connection; `None` while there is one, and when that was done.
    gives_up: Option<Time>,
    effects: VecDeque<KeptEffect>,
}

impl Kept {
    /// Returns a value that keeps nothing yet.
    pub fn new(limits: KeptLimits) -> Self {
        Self {
            limits,
            attempts: BTreeMap::new(),
            grace: Duration::ZERO,
            gives_up: None,
            effects: VecDeque::new(),
        }
    }

    /// Returns the next thing that the worker must do, or `None` when there is nothing. Call until `None` after any
    /// event.
    pub fn next_effect(&mut self) -> Option<KeptEffect> {
        self.effects.pop_front()
    }

    /// Returns when to call [`advance`](Self::advance) next.
    pub fn next_deadline(&self) -> Option<Time> {
        let oldest = self.oldest().map(|(at, _)| at + self.limits.age);
        self.gives_up.into_iter().chain(oldest).min()
    }

    /// An earlier process of this worker has left an attempt, which it had last written to at this time.
    pub fn restore(&mut self, attempt: AttemptId, at: Time, bytes: u64) {
        self.attempts.insert(attempt, State::Ended { at, bytes });
    }

    /// The scheduler has handed out an attempt, which runs from now on.
    pub fn begin(&mut self, attempt: AttemptId) {
        self.attempts.insert(attempt, State::Running);
    }

    /// An attempt has ended, and what is kept of it takes so much space.
    pub fn ended(&mut self, now: Time, attempt: AttemptId, bytes: u64) {
        match self.attempts.get_mut(&attempt) {
            Some(State::Unwanted) => self.delete(attempt, DeleteReason::Forgotten),
            Some(state) => {
                *state = State::Ended { at: now, bytes };
                self.enforce_limits(now);
            }
            None => {}
        }
    }

    /// The scheduler has the log and the end of an attempt, or has given it up.
    pub fn forget(&mut self, attempt: AttemptId) {
        match self.attempts.get_mut(&attempt) {
            Some(State::Ended { .. }) => self.delete(attempt, DeleteReason::Forgotten),
            Some(state @ State::Stopping) => *state = State::Unwanted,
            Some(state @ State::Running) => {
                *state = State::Unwanted;
                self.effects.push_back(KeptEffect::Cancel {
                    attempt,
                    reason: CancelReason::GivenUp,
                });
            }
            Some(State::Unwanted) | None => {}
        }
    }

    /// The scheduler has answered a worker that has returned. Without a connection, what runs goes on for `grace`.
    pub fn connected(&mut self, grace: Duration) {
        self.grace = grace;
        self.gives_up = None;
    }

    /// The connection to the scheduler is lost.
    pub fn disconnected(&mut self, now: Time) {
        if self.gives_up.is_none() && self.has_running() {
            self.gives_up = Some(now + self.grace);
        }
    }

    /// Reports the time.
    pub fn advance(&mut self, now: Time) {
        if self.gives_up.is_some_and(|at| at <= now) {
            self.gives_up = None;
            let running = self.attempts.iter_mut();
            for (attempt, state) in running.filter(|(_, state)| **state == State::Running) {
                *state = State::Stopping;
                let attempt = *attempt;
                self.effects.push_back(KeptEffect::Cancel {
                    attempt,
                    reason: CancelReason::SchedulerAway(self.grace),
                });
            }
        }
        self.enforce_limits(now);
    }

    /// Returns the attempts that the scheduler is told of when the worker returns.
    pub fn held(&self) -> Vec<AttemptId> {
        let wanted = |(_, state): &(&AttemptId, &State)| **state != State::Unwanted;
        let wanted = self.attempts.iter().filter(wanted);
        wanted.map(|(attempt, _)| *attempt).collect()
    }

    /// Tells whether an attempt runs.
    pub fn has_running(&self) -> bool {
        let mut states = self.attempts.values();
        states.any(|state| !matches!(state, State::Ended { .. }))
    }

    fn enforce_limits(&mut self, now: Time) {
        while let Some((at, attempt)) = self.oldest() {
            let (mut bytes, mut attempts) = (0_u64, 0_usize);
            for state in self.attempts.values() {
                if let State::Ended { bytes: more, .. } = state {
                    bytes = bytes.saturating_add(*more);
                    attempts += 1;
                }
            }
            if at + self.limits.age <= now {
                self.delete(attempt, DeleteReason::Age);
            } else if bytes > self.limits.bytes || attempts > self.limits.attempts {
                self.delete(attempt, DeleteReason::Size);
            } else {
                return;
            }
        }
    }

    /// Returns the attempt that ended first, and when.
    fn oldest(&self) -> Option<(Time, AttemptId)> {
        let ended = self.attempts.iter().filter_map(|(id, state)| match state {
            State::Ended { at, .. } => Some((*at, *id)),
            State::Running | State::Stopping | State::Unwanted => None,
        });
        ended.min()
    }

    fn delete(&mut self, attempt: AttemptId, reason: DeleteReason) {
        self.attempts.remove(&attempt);
        self.effects
            .push_back(KeptEffect::Delete { attempt, reason });
    }
}
