//! Why no worker of a pool takes jobs.

use std::fmt;
use std::time::Duration;

use pool::WorkerName;

use super::MAX_NAMED_WORKERS;
use super::cause::{Cause, Causes, kind_of};
use super::worker::{Connected, LastSeen, WorkerPresence, WorkerState};

/// Why no worker of a pool takes jobs.
#[derive(Clone, Debug)]
pub(crate) enum Obstacle<'a> {
    /// None has ever registered.
    NoWorkers,
    /// None is connected.
    NotConnected {
        /// The one that was connected last.
        latest: &'a WorkerState,
        count: usize,
    },
    /// All that are connected are paused.
    AllPaused {
        paused: Vec<(&'a WorkerName, &'a Connected)>,
        /// How many more are not connected.
        away: usize,
    },
}

impl<'a> Obstacle<'a> {
    /// Returns why none of these workers takes jobs; `None` if one does.
    pub(crate) fn of(workers: &'a [WorkerState]) -> Option<Self> {
        let Some(latest) = workers.iter().min_by_key(|worker| match worker.presence {
            WorkerPresence::NeverSeen => Duration::MAX,
            WorkerPresence::Left(ago) => ago,
            WorkerPresence::Connected(_) => Duration::ZERO,
        }) else {
            return Some(Self::NoWorkers);
        };
        let connected = workers.iter().filter_map(|worker| {
            let connected = worker.connected()?;
            Some((&worker.name, connected))
        });
        let paused: Vec<_> = connected.collect();
        let count = workers.len();
        if paused.is_empty() {
            return Some(Self::NotConnected { latest, count });
        }
        if paused.iter().any(|(_, worker)| worker.is_active()) {
            return None;
        }
        let away = count - paused.len();
        Some(Self::AllPaused { paused, away })
    }

    /// Returns the word for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NoWorkers => "no-workers",
            Self::NotConnected { .. } => "not-connected",
            Self::AllPaused { paused, .. } => {
                kind_of(paused.iter().flat_map(|(_, worker)| &worker.causes))
            }
        }
    }

    /// Returns it for people, with what to do about it.
    pub(crate) fn text(&self, pool: &str) -> String {
        match self {
            Self::NoWorkers => format!(
                "no worker has ever registered in pool {pool}; ask an operator to start one, or use another pool"
            ),
            Self::NotConnected { latest, count: 1 } => format!(
                "the only worker of pool {pool}, {}, is not connected ({}); ask an operator to start it",
                latest.name,
                LastSeen(&latest.presence)
            ),
            Self::NotConnected { latest, count } => {
                let seen = match latest.presence {
                    WorkerPresence::NeverSeen => LastSeen(&latest.presence).to_string(),
                    _ => format!("{} was {}", latest.name, LastSeen(&latest.presence)),
                };
                format!(
                    "none of the {count} workers of pool {pool} is connected ({seen}); ask an operator to start them"
                )
            }
            Self::AllPaused { paused, away } => all_paused(pool, paused, *away),
        }
    }
}

fn all_paused(pool: &str, paused: &[(&WorkerName, &Connected)], away: usize) -> String {
    let connected = if away == 0 { "" } else { "connected " };
    let who = match paused.len() {
        1 => format!("the only {connected}worker of pool {pool} is paused"),
        count => format!("all {count} {connected}workers of pool {pool} are paused"),
    };
    let named: Vec<String> = paused
        .iter()
        .take(MAX_NAMED_WORKERS)
        .map(|named| Named(named).to_string())
        .collect();
    let more = match paused.len().saturating_sub(MAX_NAMED_WORKERS) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let mut causes = paused.iter().flat_map(|(_, worker)| &worker.causes);
    let advice = match causes.any(Cause::is_by_operator) {
        true => "; ask an operator to unpause them (ocluster-admin unpause)",
        false => "",
    };
    let advice = match paused.len() {
        1 => advice.replace("them", "it"),
        _ => advice.to_owned(),
    };
    format!("{who}: {}{more}{advice}", named.join("; "))
}

/// A worker, and why it is paused.
struct Named<'a>(&'a (&'a WorkerName, &'a Connected));

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, worker) = self.0;
        write!(f, "{name}: {}", Causes(&worker.causes))
    }
}
