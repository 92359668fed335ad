//! Lines about workers and connections that are lost and return while a job is followed.

use std::convert::Infallible;
use std::time::Duration;

use cluster_api::DurableStage;
use cluster_client::{DurableJob, StatusChanges};
use visible::CompactElapsed;

use super::access::Access;
use cli::quote::printable;

/// How long a change must last to be worth a line: a worker whose process was restarted returns, and is lost at once.
const SETTLES: Duration = Duration::from_secs(1);

/// Passes those about the connection to `say`, until the future is dropped.
pub(super) async fn of_connection(access: &Access, say: impl Fn(&str)) -> Infallible {
    access
        .report_losses(|lost| say(&format!("{lost}, the job goes on")))
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

/// Passes those about workers to `say`, until the future is dropped. What does not last is left out.
pub(super) async fn of_workers(job: &DurableJob, say: impl Fn(&str)) -> Infallible {
    let mut changes = job.changes();
    // An error is reported by the reader of the log.
    if let Ok(status) = changes.next().await {
        let mut before = status.stage;
        while let Some(stage) = lasting(&mut changes).await {
            if let Some(notice) = notice(&before, &stage) {
                say(&notice);
            }
            before = stage;
        }
    }
    std::future::pending().await
}

/// Waits for another stage that lasts, for at most [`SETTLES`] after the first change; `None` at the end.
async fn lasting(changes: &mut StatusChanges) -> Option<DurableStage> {
    let mut stage = changes.next().await.ok()?.stage;
    let settled = tokio::time::sleep(SETTLES);
    let mut settled = std::pin::pin!(settled);
    while !matches!(stage, DurableStage::Ended { .. }) {
        tokio::select! {
            status = changes.next() => stage = status.ok()?.stage,
            () = &mut settled => return Some(stage),
        }
    }
    None
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
            CompactElapsed(rounded(*remaining))
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

/// Returns a time in whole seconds.
fn rounded(time: Duration) -> Duration {
    Duration::from_secs((time + Duration::from_millis(500)).as_secs())
}

#[cfg(test)]
mod tests {
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
            remaining: Duration::from_millis(299_900),
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
