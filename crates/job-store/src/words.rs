//! Outcomes and ends as they are written: a word, a detail, and an exit code.

use jobs::{AttemptEnd, CancelledBy, Limit, Loss, LossReason, Outcome, Verdict};

use crate::{State, StoreError};

/// What stands in three columns.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) word: &'static str,
    pub(crate) detail: Option<Box<str>>,
    pub(crate) exit_code: Option<u8>,
}

impl Words {
    fn of(word: &'static str) -> Self {
        Self {
            word,
            ..Self::default()
        }
    }

    fn with(word: &'static str, detail: &str) -> Self {
        Self {
            word,
            detail: Some(detail.into()),
            exit_code: None,
        }
    }

    fn of_verdict(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Succeeded(output) => Self::with("succeeded", output),
            Verdict::Failed { detail, exit_code } => Self {
                exit_code: *exit_code,
                ..Self::with("failed", detail)
            },
            Verdict::TimedOut { detail } => Self::with("timed-out", detail),
            Verdict::Refused { reason } => Self::with("refused", reason),
        }
    }

    pub(crate) fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done(verdict) => Self::of_verdict(verdict),
            Outcome::Cancelled(CancelledBy::Client) => Self::of("cancelled-by-client"),
            Outcome::Cancelled(CancelledBy::Operator) => Self::of("cancelled-by-operator"),
            Outcome::Cancelled(CancelledBy::Departure) => Self::of("cancelled-by-departure"),
            Outcome::TimedOut(Limit::Queue) => Self::of("queue-limit"),
            Outcome::TimedOut(Limit::Run) => Self::of("run-limit"),
            Outcome::TimedOut(Limit::Silence) => Self::of("silence-limit"),
            Outcome::Lost(_) => Self::of("lost"),
        }
    }

    pub(crate) fn of_end(end: &AttemptEnd) -> Self {
        match end {
            AttemptEnd::Done(verdict) => Self::of_verdict(verdict),
            AttemptEnd::Stopped => Self::of("stopped"),
            AttemptEnd::Lost(LossReason::WorkerGone) => Self::of("worker-gone"),
            AttemptEnd::Lost(LossReason::NotHeld) => Self::of("not-held"),
            AttemptEnd::Lost(LossReason::Interrupted) => Self::of("interrupted"),
            AttemptEnd::Lost(LossReason::Abandoned) => Self::of("abandoned"),
            AttemptEnd::Lost(LossReason::WorkerUnfit { problem }) => {
                Self::with("worker-unfit", problem)
            }
            AttemptEnd::Lost(LossReason::Crashed) => Self::of("crashed"),
            AttemptEnd::Lost(LossReason::SchedulerRestarted) => Self::of("scheduler-restarted"),
        }
    }
}

/// What was read from three columns.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) word: String,
    pub(crate) detail: Option<String>,
    pub(crate) exit_code: Option<u8>,
}

impl Read {
    fn detail(&self) -> Box<str> {
        self.detail.clone().unwrap_or_default().into()
    }

    fn verdict(&self) -> Option<Verdict> {
        let detail = self.detail();
        Some(match self.word.as_str() {
            "succeeded" => Verdict::Succeeded(detail),
            "failed" => Verdict::Failed {
                detail,
                exit_code: self.exit_code,
            },
            "timed-out" => Verdict::TimedOut { detail },
            "refused" => Verdict::Refused { reason: detail },
            _ => return None,
        })
    }

    /// Returns the outcome of a job; `losses` are those of its attempts.
    pub(crate) fn outcome(&self, losses: Vec<Loss>) -> Result<Outcome, StoreError> {
        if let Some(verdict) = self.verdict() {
            return Ok(Outcome::Done(verdict));
        }
        Ok(match self.word.as_str() {
            "cancelled-by-client" => Outcome::Cancelled(CancelledBy::Client),
            "cancelled-by-operator" => Outcome::Cancelled(CancelledBy::Operator),
            "cancelled-by-departure" => Outcome::Cancelled(CancelledBy::Departure),
            "queue-limit" => Outcome::TimedOut(Limit::Queue),
            "run-limit" => Outcome::TimedOut(Limit::Run),
            "silence-limit" => Outcome::TimedOut(Limit::Silence),
            "lost" => Outcome::Lost(losses),
            other => return Err(StoreError::Damaged(format!("no job ends as {other:?}"))),
        })
    }

    /// Returns the end of an attempt.
    pub(crate) fn end(&self) -> Result<AttemptEnd, StoreError> {
        if let Some(verdict) = self.verdict() {
            return Ok(AttemptEnd::Done(verdict));
        }
        let reason = match self.word.as_str() {
            "stopped" => return Ok(AttemptEnd::Stopped),
            "worker-gone" => LossReason::WorkerGone,
            "not-held" => LossReason::NotHeld,
            "interrupted" => LossReason::Interrupted,
            "abandoned" => LossReason::Abandoned,
            "worker-unfit" => LossReason::WorkerUnfit {
                problem: self.detail(),
            },
            "crashed" => LossReason::Crashed,
            "scheduler-restarted" => LossReason::SchedulerRestarted,
            other => return Err(StoreError::Damaged(format!("no attempt ends as {other:?}"))),
        };
        Ok(AttemptEnd::Lost(reason))
    }
}

/// Returns the number that stands for a state. Those above 1 are ends.
pub(crate) fn number(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Running => 1,
        State::Succeeded => 2,
        State::Failed => 3,
        State::Cancelled => 4,
        State::TimedOut => 5,
        State::Lost => 6,
    }
}

/// Returns the state that a number stands for.
pub(crate) fn state(number: i64) -> Result<State, StoreError> {
    let known = State::ALL
        .into_iter()
        .find(|state| self::number(*state) == number);
    known.ok_or_else(|| StoreError::Damaged(format!("no job has the state {number}")))
}

/// Returns the state of a job that has ended like this.
pub(crate) fn state_of(outcome: &Outcome) -> State {
    match outcome {
        Outcome::Done(Verdict::Succeeded(_)) => State::Succeeded,
        Outcome::Done(Verdict::Failed { .. } | Verdict::Refused { .. }) => State::Failed,
        Outcome::Done(Verdict::TimedOut { .. }) | Outcome::TimedOut(_) => State::TimedOut,
        Outcome::Cancelled(_) => State::Cancelled,
        Outcome::Lost(_) => State::Lost,
    }
}
