//! Lines about workers and connections that are lost and return while a job is followed.

use std::convert::Infallible;

use cluster_api::DurableStage;
use cluster_client::DurableJob;
use visible::CompactElapsed;

use super::access::Access;
use cli::quote::printable;

/// Passes those about the connection to `say`, until the future is dropped.
pub(super) async fn of_connection(access: &Access, say: impl Fn(&str)) -> Infallible {
    access
        .report_losses(|lost| say(&format!("{lost}; the job goes on")))
        .await
}

/// Returns the line about an attempt that begins after another one was lost.
pub(super) fn retrying(attempt: u32, reason: &str) -> String {
    format!(
        "Attempt {} was lost: {}. Attempt {attempt} begins anew:",
        attempt.saturating_sub(1),
        printable(reason)
    )
}

/// Returns the line about an attempt whose log cannot be read to its end.
pub(super) fn cut_off(attempt: u32, reason: &str) -> String {
    format!(
        "Cannot read the rest of the log of attempt {attempt}: {}",
        printable(reason)
    )
}

/// Passes those about workers to `say`, until the future is dropped.
pub(super) async fn of_workers(job: &DurableJob, say: impl Fn(&str)) -> Infallible {
    let mut changes = job.changes();
    let mut before = None;
    // An error is reported by the reader of the log.
    while let Ok(status) = changes.next().await {
        if matches!(status.stage, DurableStage::Ended { .. }) {
            break;
        }
        if let Some(notice) = before
            .as_ref()
            .and_then(|before| notice(before, &status.stage))
        {
            say(&notice);
        }
        before = Some(status.stage);
    }
    std::future::pending().await
}

/// Returns the line about a change, if it is worth one.
fn notice(before: &DurableStage, now: &DurableStage) -> Option<String> {
    use DurableStage::{Away, Queued, Running};
    match (before, now) {
        (
            Running { .. },
            Away {
                worker, remaining, ..
            },
        ) => Some(format!(
            "Worker \"{}\" lost its connection to the scheduler; waiting {} for it to return",
            printable(worker),
            CompactElapsed(*remaining)
        )),
        (
            Away { attempt, .. },
            Running {
                attempt: again,
                worker,
            },
        ) if attempt == again => Some(format!("Worker \"{}\" has returned", printable(worker))),
        (Running { worker, .. } | Away { worker, .. }, Queued { .. }) => Some(format!(
            "Worker \"{}\" was lost; the job waits for another one",
            printable(worker)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_worker_is_lost_and_returns() {
        let worker = || "w1".to_owned();
        let running = DurableStage::Running {
            attempt: 1,
            worker: worker(),
        };
        let away = DurableStage::Away {
            attempt: 1,
            worker: worker(),
            remaining: Duration::from_secs(300),
        };
        let queued = DurableStage::Queued {
            ahead: 0,
            obstacle: None,
        };
        let text = |before, now| notice(before, now).unwrap_or_default();
        assert_eq!(
            text(&running, &away),
            "Worker \"w1\" lost its connection to the scheduler; waiting 5m00s for it to return"
        );
        assert_eq!(text(&away, &running), "Worker \"w1\" has returned");
        let lost = "Worker \"w1\" was lost; the job waits for another one";
        assert_eq!(text(&away, &queued), lost);
        assert_eq!(text(&running, &queued), lost);
        assert_eq!(text(&queued, &running), "");
    }
}
