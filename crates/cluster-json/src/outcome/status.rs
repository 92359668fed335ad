//! How far a job has come, and how it ended, in a sentence for people.

use cluster_api::{DurableOutcome, DurableStage, LostAttempt, Outcome};
use visible::{CompactElapsed, counted, printable};

use super::{QUEUE_LIMIT, RUN_LIMIT, SILENCE_LIMIT};

/// Returns how far a job has come.
pub fn status(stage: &DurableStage) -> String {
    match stage {
        DurableStage::Queued {
            obstacle: Some(obstacle),
            ..
        } => format!("queued: {}", printable(obstacle)),
        DurableStage::Queued { ahead: 0, .. } => "queued: next in line".to_owned(),
        DurableStage::Queued { ahead, .. } => {
            format!("queued: {} ahead of this one", counted(*ahead, "job"))
        }
        DurableStage::Running { worker, .. } => format!("running on {}", printable(worker)),
        DurableStage::Away {
            worker, remaining, ..
        } => format!(
            "worker {} lost its connection, and has {} to return",
            printable(worker),
            CompactElapsed(*remaining)
        ),
        DurableStage::Ended { outcome, .. } => sentence(outcome),
    }
}

/// Returns how a job ended, and why if it did not succeed.
pub fn sentence(outcome: &DurableOutcome) -> String {
    match outcome {
        DurableOutcome::Done(Outcome::Succeeded(_)) => "succeeded".to_owned(),
        DurableOutcome::Done(Outcome::Failed { detail, exit_code }) => match (detail, exit_code) {
            (detail, _) if !detail.is_empty() => format!("failed: {}", printable(detail)),
            (_, Some(code)) => format!("failed with exit code {code}"),
            (_, None) => "failed".to_owned(),
        },
        DurableOutcome::Done(Outcome::TimedOut { detail }) => {
            format!("timed out: {}", printable(detail))
        }
        DurableOutcome::Done(other) => other.to_string(),
        DurableOutcome::CancelledByClient => "cancelled by its client".to_owned(),
        DurableOutcome::CancelledByOperator => "cancelled by an operator".to_owned(),
        DurableOutcome::CancelledUnwatched => {
            "cancelled, as its client was gone for too long".to_owned()
        }
        DurableOutcome::QueueLimit => format!("timed out: {QUEUE_LIMIT}"),
        DurableOutcome::RunLimit => format!("timed out: {RUN_LIMIT}"),
        DurableOutcome::SilenceLimit => format!("timed out: {SILENCE_LIMIT}"),
        DurableOutcome::Lost(lost) => format!("lost: {}", printable(&losses(lost))),
        DurableOutcome::Refused { reason } => format!("refused: {}", printable(reason)),
    }
}

fn losses(lost: &[LostAttempt]) -> String {
    match lost.last() {
        // Only an attached job can be lost while it waits.
        Some(last) if last.attempt == 0 => last.reason.clone(),
        Some(last) => format!(
            "it lost its worker in {}, in the last one as {}",
            counted(lost.len(), "attempt"),
            last.reason
        ),
        None => "its workers were lost".to_owned(),
    }
}
