//! Whether a worker is fit for jobs.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use cluster_api::PauseReason;
use tokio::sync::{Mutex, watch};

use crate::disk::Size;
use crate::process::printable;

/// Why a worker should take no job just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A build of OBuilder's that can't fail has failed, and this is what it said.
    Unhealthy(String),
    /// There is too little room for OBuilder's results, and some is being made.
    MakingRoom,
    /// There is too little room for OBuilder's results, and nothing is left to remove.
    StoreFull {
        /// How many bytes are free.
        free: u64,
        /// How many must be.
        minimum: u64,
    },
    /// There is no `docker` to reach an engine with, for the reason given.
    NoDocker(String),
    /// The Docker engine cannot be reached: this is what `docker` says.
    NoEngine(String),
    /// Little is free of the disk of the state directory.
    StateDiskFull {
        /// The directory.
        directory: PathBuf,
        /// How many bytes are free.
        free: u64,
        /// How many must be.
        minimum: u64,
    },
    /// The state directory cannot be used, for the reason given.
    StateDirectory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Unfit {
    /// Returns a word for it, for metrics and other programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unhealthy(_) => "obuilder",
            Self::MakingRoom | Self::StoreFull { .. } => "obuilder-store",
            Self::NoDocker(_) | Self::NoEngine(_) => "docker",
            Self::StateDiskFull { .. } | Self::StateDirectory { .. } => "state-disk",
        }
    }

    /// Returns what an operator can do about it; empty if it ends by itself.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Unhealthy(_) => "run \"ocluster doctor\" there",
            Self::MakingRoom => "",
            Self::StoreFull { .. } => {
                "make room on the disk of OBuilder's store, or lower --obuilder-min-free"
            }
            Self::NoDocker(_) => {
                "install it (on Debian: apt-get install docker.io), or set the worker up for other jobs alone: --obuilder-store, --custom"
            }
            Self::NoEngine(said) if said.contains("permission denied") => {
                "run the worker as root, or add its user to the group docker"
            }
            Self::NoEngine(_) => {
                "start it (systemctl start docker), and see why it ended (journalctl -u docker)"
            }
            Self::StateDiskFull { .. } => {
                "make room on that disk, or lower --state-min-free or --git-cache-size"
            }
            Self::StateDirectory { .. } => {
                "check that its disk is mounted, sound and writable, and has free inodes"
            }
        }
    }

    /// Returns whether jobs that have been taken fail because of it, rather than wait.
    pub(crate) fn fails_jobs(&self) -> bool {
        *self != Self::MakingRoom
    }

    /// Returns it as a scheduler is told.
    pub(crate) fn pause_reason(&self) -> PauseReason {
        PauseReason::new(self.kind(), &self.to_string(), self.advice())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy(reason) => write!(f, "Health check failed: {reason}"),
            Self::MakingRoom => f.write_str("Making room on the disk"),
            Self::StoreFull { free, minimum } => write!(
                f,
                "OBuilder's store is full: {} free, at least {} needed, and nothing left to remove",
                Size(*free),
                Size(*minimum)
            ),
            Self::NoDocker(reason) => write!(f, "cannot run docker: {reason}"),
            Self::NoEngine(said) => {
                write!(f, "the Docker engine cannot be reached: {}", one_line(said))
            }
            Self::StateDiskFull {
                directory,
                free,
                minimum,
            } => write!(
                f,
                "the disk of the state directory {} is full: {} free, at least {} needed",
                directory.display(),
                Size(*free),
                Size(*minimum)
            ),
            Self::StateDirectory { directory, problem } => write!(
                f,
                "cannot use the state directory {}: {problem}",
                directory.display()
            ),
        }
    }
}

/// Returns what a program said as one line.
fn one_line(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    printable(lines.join(" ").trim())
}

/// What speaks against taking jobs, as that changes. `None` is the good news.
pub(crate) type Fitness = watch::Receiver<Option<Unfit>>;

/// Waits until nothing speaks against taking jobs.
pub(crate) async fn fit(fitness: &mut Fitness) {
    // Whoever could have said something has gone, so nothing more speaks against it.
    drop(fitness.wait_for(Option::is_none).await);
}

/// Waits until something does, which may be for ever.
pub(crate) async fn unfit(fitness: &mut Fitness) -> Unfit {
    let unfit = fitness.wait_for(Option::is_some).await;
    match unfit.ok().and_then(|unfit| unfit.clone()) {
        Some(unfit) => unfit,
        None => std::future::pending().await,
    }
}

/// Waits until it is something else than `known`, and returns what it is then. `None` if nothing speaks against taking jobs.
pub(crate) async fn other_than(fitness: &mut Fitness, known: &Unfit) -> Option<Unfit> {
    let changed = fitness.wait_for(|now| now.as_ref() != Some(known)).await;
    changed.ok().and_then(|now| now.clone())
}

/// Something that is examined from time to time, and when a job has failed.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    fitness: watch::Sender<Option<Unfit>>,
    /// When the last examination began. Locked during one.
    last: Mutex<Option<Instant>>,
}

impl Examined {
    pub(crate) fn fitness(&self) -> Fitness {
        self.fitness.subscribe()
    }

    /// Looks at it with `look`, unless somebody has begun to since this was called.
    pub(crate) async fn examine(&self, look: impl Future<Output = Option<Unfit>>) {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if last.is_some_and(|began| began > asked) {
            return;
        }
        let began = Instant::now();
        let found = look.await;
        *last = Some(began);
        self.fitness.send_if_modified(|known| {
            let is_news = *known != found;
            *known = found;
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::local;

    #[test]
    fn those_who_ask_at_once_share_an_answer() {
        local(async {
            let (examined, looks) = (Examined::default(), std::cell::Cell::new(0));
            let look = || {
                examined.examine(async {
                    looks.set(looks.get() + 1);
                    tokio::task::yield_now().await;
                    Some(Unfit::MakingRoom)
                })
            };
            // The first may have begun before the others failed; one more look is enough for all of them.
            futures::future::join_all((0..10).map(|_| look())).await;
            assert!(looks.get() <= 2, "{}", looks.get());
            assert_eq!(*examined.fitness().borrow(), Some(Unfit::MakingRoom));
            look().await;
            assert!(looks.get() <= 3);
        });
    }

    #[test]
    fn what_a_program_said_is_one_line() {
        let said = "Cannot connect to the Docker daemon.\nIs it\u{1b} running?\n".to_owned();
        assert_eq!(
            Unfit::NoEngine(said).to_string(),
            "the Docker engine cannot be reached: Cannot connect to the Docker daemon. Is it\u{fffd} running?"
        );
    }
}
