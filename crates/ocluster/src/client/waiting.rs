//! Shows what a client waits for until its job's log begins: in a status line on a terminal, elsewhere in normal lines.
//! A reason that somebody can do something about is a normal line on either.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use cluster_api::{DurableStage, Explanation, RpcError, RpcErrorKind, TicketStatus};
use cluster_client::{Attempt, DurableJob};
use cluster_json::outcome::{expected_start, reason};
use tokio::time::{Instant, sleep};

use cli::print::print_error;
use cli::quote::printable;
use cli::status_line::StatusLine;
use visible::{Elapsed, counted};

/// How often the scheduler is asked for a terminal, and how long a job may wait before anything is printed elsewhere.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// How often it is asked where there is no status line.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(10);

/// How often normal lines repeat why the job waits, if that does not change.
const REMINDER: Duration = Duration::from_secs(5 * 60);

/// What the scheduler reports of a job.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) status: TicketStatus,
    /// Why the job waits; `None` if it does not, or the scheduler does not report it.
    pub(super) explanation: Option<Explanation>,
}

impl From<TicketStatus> for Wait {
    fn from(status: TicketStatus) -> Self {
        Self {
            status,
            explanation: None,
        }
    }
}

/// Whether a scheduler reports why jobs wait, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Explains {
    is_unable: Cell<bool>,
}

impl Explains {
    /// Asks why a job waits, if its status is that it does and the scheduler can report it.
    pub(super) async fn ask(&self, attempt: &Attempt) -> Option<Wait> {
        let status = attempt.status().await.ok()?;
        let explanation = match self.is_worth_asking(&status) {
            true => self.learn(attempt.explanation().await),
            false => None,
        };
        Some(Wait {
            status,
            explanation,
        })
    }

    /// Asks the same about a durable job.
    pub(super) async fn ask_durable(&self, job: &DurableJob) -> Option<Wait> {
        let status = ticket_status(job.status().await.ok()?.stage);
        let explanation = match self.is_worth_asking(&status) {
            true => {
                let explanation = job.explanation().await.ok()?;
                self.is_unable.set(explanation.is_none());
                explanation
            }
            false => None,
        };
        Some(Wait {
            status,
            explanation,
        })
    }

    fn is_worth_asking(&self, status: &TicketStatus) -> bool {
        let waits = matches!(
            status,
            TicketStatus::Queued { .. } | TicketStatus::Assigned { .. }
        );
        waits && !self.is_unable.get()
    }

    /// Returns the answer, and asks no more if the scheduler does not know the question.
    fn learn(&self, answer: Result<Explanation, RpcError>) -> Option<Explanation> {
        match answer {
            Ok(explanation) => Some(explanation),
            Err(error) => {
                self.is_unable
                    .set(error.kind == RpcErrorKind::Unimplemented);
                None
            }
        }
    }
}

/// Shows what a job waits for, until the future is dropped. `ask` asks the scheduler; `None` if that cannot answer
/// (upstream's cannot).
///
/// Stops asking once the job runs or the line is disabled.
pub(super) async fn show(ask: impl AsyncFn() -> Option<Wait>, line: &StatusLine) -> Infallible {
    if !line.is_enabled() {
        report(&ask).await;
    }
    let (mut reports, begin) = (Reports::default(), Instant::now());
    while line.is_enabled() {
        sleep(INTERVAL).await;
        let Some(wait) = ask().await else {
            line.disable();
            continue;
        };
        match wait.status {
            TicketStatus::Finished => line.disable(),
            // A reason may be longer than the terminal is wide, and its end is what to do about it.
            _ if wait.needs_attention() => {
                let now = Instant::now();
                if let Some(text) = reports.next(&wait, now) {
                    line.print_above(&text);
                }
                let waited = Elapsed::from_seconds(now.duration_since(begin).as_secs_f64().round());
                line.show(&wait.expected(format!("waiting for {waited}")));
            }
            _ => line.show(&wait.brief()),
        }
    }
    std::future::pending().await
}

/// Prints in normal lines why the job waits: at first, when that changes, and from time to time.
async fn report(ask: &impl AsyncFn() -> Option<Wait>) {
    let mut reports = Reports::default();
    sleep(INTERVAL).await;
    while let Some(wait) = ask().await
        && let TicketStatus::Queued { .. } | TicketStatus::Assigned { .. } = wait.status
    {
        if let Some(text) = reports.next(&wait, Instant::now()) {
            print_error(&format!("{}\n", printable(&text)));
        }
        sleep(UNWATCHED_INTERVAL).await;
    }
}

impl Wait {
    /// Returns why the job waits, if it does and that is known.
    fn why(&self) -> Option<&Explanation> {
        let explanation = self.explanation.as_ref()?;
        // It may have begun since its status was reported.
        (!matches!(explanation.kind.as_str(), "running" | "ended")).then_some(explanation)
    }

    /// Returns whether the reason is one that somebody can do something about, or is more than a place in a queue.
    fn needs_attention(&self) -> bool {
        match (&self.status, self.why()) {
            (_, Some(why)) => !is_progress(&why.kind),
            (TicketStatus::Queued { obstacle, .. }, None) => obstacle.is_some(),
            _ => false,
        }
    }

    /// Returns the whole reason.
    fn text(&self) -> String {
        match self.why() {
            Some(why) => format!("queued: {}", reason(why)),
            None => describe(&self.status),
        }
    }

    /// Returns the reason with what matters most first: a terminal may show only its beginning.
    pub(super) fn brief(&self) -> String {
        match self.why() {
            Some(why) => format!("{}: {}", self.expected("queued".to_owned()), why.text),
            None => describe(&self.status),
        }
    }

    /// Adds when the job is expected to start, if that is known.
    fn expected(&self, text: String) -> String {
        let forecast = self.why().and_then(|why| why.forecast.as_ref());
        match forecast {
            Some(forecast) => format!("{text}, {}", expected_start(forecast)),
            None => text,
        }
    }

    /// Returns what of the reason is worth a line when it changes: neither the progress of the queue nor the passing of
    /// time is.
    fn gist(&self) -> String {
        match (&self.status, self.why()) {
            (_, Some(why)) if is_progress(&why.kind) => "queued".to_owned(),
            (_, Some(why)) if matches!(why.kind.as_str(), "share" | "cache-wait") => {
                why.kind.clone()
            }
            (TicketStatus::Queued { obstacle: None, .. }, None) => "queued".to_owned(),
            (TicketStatus::Assigned { worker, .. }, None) => format!("queued on {worker}"),
            _ => self
                .text()
                .chars()
                .filter(|c| !c.is_ascii_digit())
                .collect(),
        }
    }
}

/// Returns whether a reason only tells that the queue moves on.
fn is_progress(kind: &str) -> bool {
    matches!(kind, "busy" | "starting" | "probing")
}

/// What has been reported of a wait.
#[derive(Default)]
struct Reports {
    /// The last report, without its numbers, and when it was made.
    last: Option<(String, Instant)>,
}

impl Reports {
    /// Returns the report due at the time `now`, if any.
    fn next(&mut self, wait: &Wait, now: Instant) -> Option<String> {
        let gist = wait.gist();
        let is_old = |(last, when): &(String, Instant)| *last == gist && now < *when + REMINDER;
        if self.last.as_ref().is_some_and(is_old) {
            return None;
        }
        self.last = Some((gist, now));
        Some(wait.text())
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
    use cluster_api::Forecast;

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

    fn explained(kind: &str, text: &str) -> Wait {
        let explanation = Explanation {
            kind: kind.to_owned(),
            text: text.to_owned(),
            ..Explanation::default()
        };
        Wait {
            status: queued(3, None),
            explanation: Some(explanation),
        }
    }

    #[test]
    fn a_reason_is_a_line_when_it_changes() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let mut line = |kind, text| {
            reports
                .next(&explained(kind, text), start)
                .unwrap_or_default()
        };
        assert_eq!(line("busy", "3 jobs ahead"), "queued: 3 jobs ahead");
        assert_eq!(line("busy", "2 jobs ahead (1 urgent)"), "");
        assert_eq!(line("probing", "next in line"), "");
        assert_eq!(
            line("cache-wait", "waiting for w1"),
            "queued: waiting for w1"
        );
        assert_eq!(
            line("admin-pause", "w1: paused 5s ago"),
            "queued: w1: paused 5s ago"
        );
        assert_eq!(line("admin-pause", "w1: paused 6s ago"), "");
    }

    #[test]
    fn a_forecast_is_shown_where_it_is_seen() {
        let mut wait = explained("busy", "3 jobs ahead of this one");
        assert!(!wait.needs_attention());
        assert_eq!(wait.brief(), "queued: 3 jobs ahead of this one");
        wait.explanation.as_mut().unwrap().forecast = Some(Forecast {
            start: (Duration::from_secs(130), Duration::from_secs(290)),
            end: (Duration::from_secs(300), Duration::from_secs(600)),
        });
        assert_eq!(
            wait.brief(),
            "queued, expected to start in 2–5 min: 3 jobs ahead of this one"
        );
        assert_eq!(
            wait.text(),
            "queued: 3 jobs ahead of this one; expected to start in 2–5 min"
        );
        assert!(explained("share", "").needs_attention());
        assert!(!explained("running", "running on w1").needs_attention());
    }

    #[test]
    fn normal_lines_show_news_and_repeat_them_after_five_minutes() {
        let mut reports = Reports::default();
        let start = Instant::now();
        let mut line = |seconds, status| {
            let now = start + Duration::from_secs(seconds);
            reports.next(&Wait::from(status), now).unwrap_or_default()
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
