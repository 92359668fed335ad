//! Why a worker takes no jobs, in words.

use cli::quote::printable;

use crate::json::pools::{Connection, InactiveReason, PauseReason};

/// Returns a reason in a few words.
pub(super) fn in_words(reason: InactiveReason) -> &'static str {
    match reason {
        InactiveReason::WorkerPause => "paused by itself",
        InactiveReason::AdminPause => "paused until unpaused",
        InactiveReason::TemporaryPause => "paused until it reconnects or is unpaused",
        InactiveReason::ShuttingDown => "about to be updated",
        InactiveReason::NotAnswering => "not answering",
        InactiveReason::Other => "a reason unknown to this version",
    }
}

/// Returns why a connected worker takes no jobs, in one line; `None` if it takes jobs.
pub(crate) fn why_inactive(worker: &Connection) -> Option<String> {
    let mut reasons = Vec::new();
    for reason in &worker.inactive {
        match reason {
            InactiveReason::WorkerPause if !worker.pause_reasons.is_empty() => {
                reasons.extend(worker.pause_reasons.iter().map(|reason| {
                    let PauseReason {
                        problem, advice, ..
                    } = reason;
                    match advice.as_str() {
                        "" => printable(problem),
                        advice => printable(&format!("{problem}; {advice}")),
                    }
                }));
            }
            other => reasons.push(in_words(*other).to_owned()),
        }
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}
