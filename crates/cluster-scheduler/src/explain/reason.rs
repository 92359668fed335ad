//! Why one job waits.

use std::fmt;
use std::time::Duration;

use cluster_api::Explanation;
use pool::{Ahead, ChosenFacts, PassedFacts, TicketFacts, TicketId, WorkerName};
use visible::{CompactElapsed, counted};

use super::job::JobFacts;
use super::limited;
use super::report::{KnownObstacle, Moment, WaitReport, saturated};
use super::worker::WorkerState;
use super::workers::WorkerCounts;
use crate::details::between;

/// Why a job waits.
#[derive(Clone, Debug)]
pub(crate) enum Reason<'a> {
    /// The scheduler shuts down.
    SchedulerStopping {
        /// Whether the job continues when the scheduler is back.
        is_kept: bool,
    },
    /// No worker takes jobs.
    Obstacle(&'a KnownObstacle),
    /// It waits for a worker that has its hint cached: in the queue of that one, or in the backlog, where others leave
    /// it.
    CacheWait {
        worker: &'a WorkerName,
        /// How much time that is expected to save.
        saves: Duration,
        /// From when on another worker may have it.
        left: Duration,
        ahead: Ahead,
    },
    /// A worker is asked whether it answers.
    Probing(&'a WorkerName),
    /// It is about to start.
    Starting,
    /// The workers have other jobs.
    Busy { ahead: Ahead, workers: WorkerCounts },
    /// The same, and jobs of clients that have used less of their shares are before it.
    Share { ahead: Ahead, workers: WorkerCounts },
}

impl<'a> Reason<'a> {
    /// Returns why a queued ticket waits.
    pub(crate) fn of(
        report: &'a WaitReport,
        moment: &Moment<'_>,
        ticket: TicketId,
        job: &JobFacts,
    ) -> Self {
        if moment.assignments_stopped {
            return Self::SchedulerStopping {
                is_kept: job.is_kept,
            };
        }
        if let Some(obstacle) = report.obstacle() {
            return Self::Obstacle(obstacle);
        }
        let ahead = report.ahead(ticket);
        let probed = |worker: &&WorkerState| worker.connected().is_some_and(|it| it.is_probed);
        let facts = report.ticket(ticket);
        if let Some(TicketFacts {
            passed:
                Some(PassedFacts {
                    worker,
                    until,
                    saves,
                }),
            ..
        }) = facts
            && moment.now < *until
        {
            return Self::CacheWait {
                worker,
                saves: *saves,
                left: between(moment.now, *until),
                ahead,
            };
        }
        let chosen = facts.and_then(|facts| facts.chosen.as_ref());
        if let Some(ChosenFacts {
            worker,
            is_preferred,
            until,
            saves,
        }) = chosen
        {
            // There are up to a thousand tickets, and many workers: they are looked through only where that counts.
            let is_probed = || {
                let state = report.workers().iter().find(|state| state.name == *worker);
                state.as_ref().is_some_and(probed)
            };
            return match is_preferred {
                true => Self::CacheWait {
                    worker,
                    saves: *saves,
                    left: between(moment.now, *until),
                    ahead,
                },
                false if is_probed() => Self::Probing(worker),
                false => Self::Starting,
            };
        }
        let workers = report.counts;
        let probing = match ahead.all {
            0 => report.workers().iter().find(probed),
            _ => None,
        };
        match (ahead, probing) {
            (Ahead { all: 0, .. }, Some(worker)) => Self::Probing(&worker.name),
            (Ahead { by_share: 0, .. }, _) => Self::Busy { ahead, workers },
            _ => Self::Share { ahead, workers },
        }
    }

    /// Returns the word for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::SchedulerStopping { .. } => "scheduler-stopping",
            Self::Obstacle(obstacle) => obstacle.kind,
            Self::CacheWait { .. } => "cache-wait",
            Self::Probing(_) => "probing",
            Self::Starting => "starting",
            Self::Busy { .. } => "busy",
            Self::Share { .. } => "share",
        }
    }

    /// Returns it for people, with what to do about it.
    fn text(&self, pool: &str) -> String {
        match self {
            Self::SchedulerStopping { is_kept: true } => {
                "the scheduler is shutting down, and starts no more jobs; \
                 this one continues when it is back"
                    .to_owned()
            }
            Self::SchedulerStopping { is_kept: false } => {
                "the scheduler is shutting down, and starts no more jobs; \
                 submit this one again when it is back"
                    .to_owned()
            }
            Self::Obstacle(obstacle) => obstacle.text.to_string(),
            Self::CacheWait {
                worker,
                saves,
                left,
                ahead,
            } => {
                let others = match left.as_secs() {
                    0 => "any worker that is free takes it, too".to_owned(),
                    _ => format!(
                        "if {worker} is still busy in {}, any worker that is free takes it",
                        CompactElapsed(*left)
                    ),
                };
                format!(
                    "waiting for {worker}, whose cache saves about {} ({others}); {}",
                    CompactElapsed(*saves),
                    Place(*ahead)
                )
            }
            Self::Probing(worker) => {
                format!("next in line; waiting for {worker} to answer, or for another worker")
            }
            Self::Starting => "next in line; a worker is about to take it".to_owned(),
            Self::Busy { ahead, workers } => format!("{}; {}", Place(*ahead), workers.busy(pool)),
            Self::Share { ahead, workers } => format!(
                "{}, {}; {}; an operator can give its client a larger share (ocluster-admin set-rate)",
                Place(*ahead),
                overtaken(*ahead),
                workers.busy(pool)
            ),
        }
    }
}

/// Returns which of the jobs before one were submitted later.
fn overtaken(ahead: Ahead) -> String {
    let Ahead { all, by_share, .. } = ahead;
    match (all, by_share) {
        (1, 1) => "submitted later by a client that has used less of its share".to_owned(),
        (_, 1) => {
            "of which 1 was submitted later by a client that has used less of its share".to_owned()
        }
        _ => format!(
            "of which {by_share} were submitted later by clients that have used less of their shares"
        ),
    }
}

/// The place of a job in its queue.
struct Place(Ahead);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ahead {
            all, urgent, own, ..
        } = self.0;
        if all == 0 {
            return f.write_str("next in line");
        }
        write!(f, "{} ahead of this one", counted(all, "job"))?;
        match (urgent, own) {
            (0, 0) => Ok(()),
            (urgent, 0) => write!(f, " ({urgent} urgent)"),
            (0, own) => write!(f, " ({own} of the same client)"),
            (urgent, own) => write!(f, " ({urgent} urgent, {own} of the same client)"),
        }
    }
}

impl WaitReport {
    /// Returns why a queued ticket waits.
    pub(crate) fn explain(
        &self,
        moment: &Moment<'_>,
        ticket: TicketId,
        job: &JobFacts,
    ) -> Explanation {
        let reason = Reason::of(self, moment, ticket, job);
        let ahead = self.ahead(ticket);
        Explanation {
            kind: reason.kind().to_owned(),
            text: limited(format!("{}{job}", reason.text(moment.pool))),
            ahead: saturated(ahead.all),
            urgent_ahead: saturated(ahead.urgent),
            own_ahead: saturated(ahead.own),
            forecast: None,
        }
    }
}
