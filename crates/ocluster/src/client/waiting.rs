//! Shows what a client waits for until its job's log begins: in a status line on a terminal, elsewhere in normal lines.
//! Why no worker takes the job is a normal line on either.

use std::convert::Infallible;
use std::time::Duration;

use cluster_api::{DurableStage, TicketStatus};
use tokio::time::{Instant, sleep};

use cli::print::print_error;
use cli::quote::printable;
use cli::status_line::StatusLine;
use visible::{Elapsed, counted};

/// How often the scheduler is asked for a terminal, and how long a job may wait before anything is printed elsewhere.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often it is asked where there is no status line.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(10);

/// How often normal lines repeat why the job waits, if that does not change.
const REMINDER: Duration = Duration::from_secs(5 * 60);

/// Shows what a job waits for, until the future is dropped. `ask` asks the scheduler; `None` if that cannot answer
/// (upstream's cannot).
///
/// Stops asking once the job runs or the line is disabled.
pub(super) async fn show(
    ask: impl AsyncFn() -> Option<TicketStatus>,
    line: &StatusLine,
) -> Infallible {
    if !line.is_enabled() {
        report(&ask).await;
    }
    let (mut reports, begin) = (Reports::default(), Instant::now());
    while line.is_enabled() {
        sleep(INTERVAL).await;
        match ask().await {
            Some(TicketStatus::Finished) | None => line.disable(),
            // A reason may be longer than the terminal is wide, and its end is what to do about it.
            Some(
                status @ TicketStatus::Queued {
                    obstacle: Some(_), ..
                },
            ) => {
                let now = Instant::now();
                if let Some(text) = reports.next(&status, now) {
                    line.print_above(&text);
                }
                let waited = Elapsed::from_seconds(now.duration_since(begin).as_secs_f64().round());
                line.show(&format!("waiting for {waited}"));
            }
            Some(status) => line.show(&describe(&status)),
        }
    }
    std::future::pending().await
}

/// Prints in normal lines why the job waits: at first, when that changes, and from time to time.
async fn report(ask: &impl AsyncFn() -> Option<TicketStatus>) {
    let mut reports = Reports::default();
    sleep(INTERVAL).await;
    while let Some(status @ (TicketStatus::Queued { .. } | TicketStatus::Assigned { .. })) =
        ask().await
    {
        if let Some(text) = reports.next(&status, Instant::now()) {
            print_error(&format!("{}\n", printable(&text)));
        }
        sleep(UNWATCHED_INTERVAL).await;
    }
}

/// What has been reported of a wait.
#[derive(Default)]
struct Reports {
    /// The last report, without its numbers, and when it was made.
    last: Option<(String, Instant)>,
}

impl Reports {
    /// Returns the report due at the time `now`, if any.
    fn next(&mut self, status: &TicketStatus, now: Instant) -> Option<String> {
        let text = describe(status);
        // Neither the progress of the queue nor the passing of time is worth a line.
        let gist: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
        let gist = match status {
            TicketStatus::Queued { obstacle: None, .. } => "queued".to_owned(),
            TicketStatus::Assigned { worker, .. } => format!("queued on {worker}"),
            _ => gist,
        };
        let is_old = |(last, when): &(String, Instant)| *last == gist && now < *when + REMINDER;
        if self.last.as_ref().is_some_and(is_old) {
            return None;
        }
        self.last = Some((gist, now));
        Some(text)
    }
}

fn describe(status: &TicketStatus) -> String {
    match status {
        TicketStatus::Queued {
            obstacle: Some(obstacle),
            ..
        } => format!("queued: {obstacle}"),
        TicketStatus::Queued {
            ahead,
            obstacle: None,
        } => format!("queued: {}", ahead_of_this(*ahead)),
        TicketStatus::Assigned { worker, ahead } => {
            format!("queued on {worker}: {}", ahead_of_this(*ahead))
        }
        TicketStatus::Running { worker } => format!("building on {worker}"),
        TicketStatus::Finished => "finished".to_owned(),
    }
}

fn ahead_of_this(ahead: u32) -> String {
    match ahead {
        0 => "next in line".to_owned(),
        n => format!("{} ahead of this one", counted(n, "job")),
    }
}

/// Returns a stage of a durable job as the status of a ticket.
pub(super) fn ticket_status(stage: DurableStage) -> TicketStatus {
    match stage {
        DurableStage::Queued { ahead, obstacle } => TicketStatus::Queued { ahead, obstacle },
        DurableStage::Running { worker, .. } | DurableStage::Away { worker, .. } => {
            TicketStatus::Running { worker }
        }
        DurableStage::Ended { .. } => TicketStatus::Finished,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(ahead: u32, obstacle: Option<&str>) -> TicketStatus {
        TicketStatus::Queued {
            ahead,
            obstacle: obstacle.map(str::to_owned),
        }
    }

    #[test]
    fn the_text_for_each_status() {
        let worker = || "w1".to_owned();
        let text = |status| describe(&status);
        assert_eq!(text(queued(3, None)), "queued: 3 jobs ahead of this one");
        assert_eq!(text(queued(1, None)), "queued: 1 job ahead of this one");
        let obstacle = "no worker has ever registered in pool linux";
        assert_eq!(
            text(queued(0, Some(obstacle))),
            "queued: no worker has ever registered in pool linux"
        );
        assert_eq!(
            text(TicketStatus::Assigned {
                worker: worker(),
                ahead: 0
            }),
            "queued on w1: next in line"
        );
        assert_eq!(
            text(TicketStatus::Running { worker: worker() }),
            "building on w1"
        );
    }

    #[test]
    fn normal_lines_show_news_and_repeat_them_after_five_minutes() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let mut line = |seconds, status| {
            let now = start + Duration::from_secs(seconds);
            reports.next(&status, now).unwrap_or_default()
        };
        assert_eq!(line(1, queued(3, None)), "queued: 3 jobs ahead of this one");
        assert_eq!(line(11, queued(2, None)), "", "the queue moves on");
        let silent = |time: &str| format!("all 2 workers are paused: w1: silent for {time}");
        assert_ne!(line(21, queued(0, Some(&silent("9s")))), "");
        assert_eq!(line(31, queued(0, Some(&silent("19s")))), "");
        assert_eq!(
            line(41, queued(0, Some("w1: no docker"))),
            "queued: w1: no docker"
        );
        assert_eq!(line(340, queued(0, Some("w1: no docker"))), "");
        assert_eq!(
            line(341, queued(0, Some("w1: no docker"))),
            "queued: w1: no docker"
        );
    }
}
