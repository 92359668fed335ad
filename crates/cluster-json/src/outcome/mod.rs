//! How a job ended, for people and for scripts.

mod kind;
mod status;

use cluster_api::{
    CancelledBy, DurableOutcome, DurableStage, LostAttempt, Outcome, RpcError, TicketEnd,
};
use visible::counted;

pub use self::kind::kind_of;
pub use self::status::{sentence, status};
use crate::failure::{Kind, Reason};
use visible::printable;

const QUEUE_LIMIT: &str = "the job waited for a worker for longer than its --queue-timeout";
const RUN_LIMIT: &str = "the job ran for longer than its --timeout";
const SILENCE_LIMIT: &str =
    "the job wrote nothing to its log for longer than its --silence-timeout";

/// Why a job did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code of a program that waits for the job.
    pub kind: Kind,
    /// In a few words, as an error of upstream's would have it.
    pub error: RpcError,
    /// What to try, one sentence each.
    pub hints: Vec<String>,
}

impl Failure {
    fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            error: RpcError::failed(reason),
            hints: Vec::new(),
        }
    }

    /// Returns it for programs; `None` if it has no message.
    pub fn reason(&self) -> Option<Reason> {
        Reason::new(self.kind, &self.error.reason, &self.hints)
    }
}

/// Returns the output of a job with these attempts. `command` is the exit code of the build's own command, if its log
/// has one.
///
/// # Errors
///
/// [`Failure`] says why it did not succeed.
pub fn result(
    attempts: u32,
    outcome: &DurableOutcome,
    command: Option<u8>,
) -> Result<String, Failure> {
    let cancelled = |by, queued: TicketEnd| Failure {
        kind: Kind::Cancelled,
        error: match attempts {
            0 => queued.into_error(),
            _ => error_of(Outcome::Cancelled(by)),
        },
        hints: Vec::new(),
    };
    let limit = |reason: &str| Failure::new(Kind::TimedOut, reason);
    Err(match outcome {
        DurableOutcome::Done(Outcome::Succeeded(output)) => return Ok(output.clone()),
        DurableOutcome::Done(outcome) => Failure {
            kind: kind_of(outcome, command),
            error: error_of(outcome.clone()),
            hints: Vec::new(),
        },
        DurableOutcome::CancelledByClient => cancelled(CancelledBy::Client, TicketEnd::Cancelled),
        DurableOutcome::CancelledByOperator => {
            cancelled(CancelledBy::Operator, TicketEnd::CancelledByOperator)
        }
        DurableOutcome::CancelledUnwatched => Failure::new(
            Kind::Cancelled,
            "the job was cancelled, as its client was gone for too long",
        ),
        DurableOutcome::QueueLimit => limit(QUEUE_LIMIT),
        DurableOutcome::RunLimit => limit(RUN_LIMIT),
        DurableOutcome::SilenceLimit => limit(SILENCE_LIMIT),
        DurableOutcome::Lost(lost) => all_lost(lost),
        DurableOutcome::Refused { reason } => Failure::new(Kind::Failed, reason),
    })
}

/// Returns the result of a job that has ended, for programs.
pub fn of_stage(stage: &DurableStage) -> Option<Result<String, Reason>> {
    let DurableStage::Ended { attempt, outcome } = stage else {
        return None;
    };
    match result(*attempt, outcome, None) {
        Ok(output) => Some(Ok(output)),
        Err(failure) => failure.reason().map(Err),
    }
}

/// Returns how a job ended in a word, as its state is called.
pub fn word(outcome: &DurableOutcome) -> &'static str {
    match outcome {
        DurableOutcome::Done(Outcome::Succeeded(_)) => "succeeded",
        DurableOutcome::Done(Outcome::TimedOut { .. })
        | DurableOutcome::QueueLimit
        | DurableOutcome::RunLimit
        | DurableOutcome::SilenceLimit => "timed-out",
        DurableOutcome::Done(Outcome::Cancelled(_))
        | DurableOutcome::CancelledByClient
        | DurableOutcome::CancelledByOperator
        | DurableOutcome::CancelledUnwatched => "cancelled",
        DurableOutcome::Lost(_) => "lost",
        DurableOutcome::Done(_) | DurableOutcome::Refused { .. } => "failed",
    }
}

fn error_of(outcome: Outcome) -> RpcError {
    match outcome.into_result() {
        Err(error) => error,
        Ok(_) => RpcError::failed("the job succeeded"),
    }
}

fn all_lost(lost: &[LostAttempt]) -> Failure {
    // Only an attached job can be lost while it waits.
    if let Some(waiting) = lost.first().filter(|lost| lost.attempt == 0) {
        return Failure {
            kind: Kind::JobLost,
            error: RpcError::disconnected(printable(&waiting.reason)),
            hints: vec!["submit it again".to_owned()],
        };
    }
    let last = lost.last().map_or_else(String::new, |last| {
        format!(", the last one on worker \"{}\"", printable(&last.worker))
    });
    let lines = lost.iter().map(|lost| {
        format!(
            "attempt {} on worker \"{}\": {}",
            lost.attempt,
            printable(&lost.worker),
            printable(&lost.reason)
        )
    });
    let number = u32::try_from(lost.len()).unwrap_or(u32::MAX);
    Failure {
        kind: Kind::JobLost,
        error: RpcError::disconnected(format!(
            "{} lost with the job{last}",
            counted(number, "worker")
        )),
        hints: lines
            .chain(["the job may be crashing its workers; submit it again if it is not".to_owned()])
            .collect(),
    }
}
