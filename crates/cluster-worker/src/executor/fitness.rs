//! Whether a worker is fit for jobs.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use cluster_api::PauseReason;
use tokio::sync::{Mutex, watch};
use visible::{BinarySize, OneLine};

/// Why a worker takes no jobs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// OBuilder's health check has failed, with this error.
    Unhealthy(String),
    /// There is too little space for OBuilder's results, and the store is being pruned.
    MakingRoom,
    /// There is too little space for OBuilder's results, and nothing is left to prune.
    StoreFull {
        /// How many bytes are free.
        free: u64,
        /// How many bytes must be free.
        minimum: u64,
    },
    /// `docker` cannot be run, for the reason given.
    NoDocker(String),
    /// The Docker engine cannot be reached. This is the output of `docker`.
    NoEngine(String),
    /// There is too little space on the disk of the state directory.
    StateDiskFull {
        /// The directory.
        directory: PathBuf,
        /// How many bytes are free.
        free: u64,
        /// How many bytes must be free.
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
    /// Returns an identifier for metrics and other programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unhealthy(_) => "obuilder",
            Self::MakingRoom | Self::StoreFull { .. } => "obuilder-store",
            Self::NoDocker(_) | Self::NoEngine(_) => "docker",
            Self::StateDiskFull { .. } | Self::StateDirectory { .. } => "state-disk",
        }
    }

    /// Returns what an operator can do about it. Empty if it resolves by itself.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Unhealthy(_) => "run \"ocluster doctor\" there",
            Self::MakingRoom => "",
            Self::StoreFull { .. } => {
                "make room on the disk of OBuilder's store, or lower --obuilder-min-free"
            }
            Self::NoDocker(_) => {
                "install it (on Debian: apt-get install docker.io), or configure the worker for other jobs only: \
                 --obuilder-store, --custom"
            }
            Self::NoEngine(output) if output.contains("permission denied") => {
                "run the worker as root, or add its user to the group docker"
            }
            Self::NoEngine(_) => {
                "start it (systemctl start docker), and check why it stopped (journalctl -u docker)"
            }
            Self::StateDiskFull { .. } => {
                "make room on that disk, or lower --state-min-free or --git-cache-size"
            }
            Self::StateDirectory { .. } => {
                "check that its disk is mounted, healthy and writable, and has free inodes"
            }
        }
    }

    /// Returns whether it makes running jobs fail. Otherwise they wait.
    pub(crate) fn fails_jobs(&self) -> bool {
        *self != Self::MakingRoom
    }

    /// Returns the pause reason to send to the scheduler.
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
                BinarySize(*free),
                BinarySize(*minimum)
            ),
            Self::NoDocker(reason) => write!(f, "cannot run docker: {reason}"),
            Self::NoEngine(output) => {
                write!(
                    f,
                    "the Docker engine cannot be reached: {}",
                    one_line(output)
                )
            }
            Self::StateDiskFull {
                directory,
                free,
                minimum,
            } => write!(
                f,
                "the disk of the state directory {} is full: {} free, at least {} needed",
                directory.display(),
                BinarySize(*free),
                BinarySize(*minimum)
            ),
            Self::StateDirectory { directory, problem } => write!(
                f,
                "cannot use the state directory {}: {problem}",
                directory.display()
            ),
        }
    }
}

/// Returns the output of a program as one line.
fn one_line(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    OneLine(lines.join(" ").trim()).to_string()
}

/// Watches why a worker takes no jobs. `None` while it is fit.
pub(crate) type Fitness = watch::Receiver<Option<Unfit>>;

/// Waits until it is fit.
pub(crate) async fn fit(fitness: &mut Fitness) {
    // If the sender has been dropped, it counts as fit.
    drop(fitness.wait_for(Option::is_none).await);
}

/// Waits until it is unfit. This may never end.
pub(crate) async fn unfit(fitness: &mut Fitness) -> Unfit {
    let unfit = fitness.wait_for(Option::is_some).await;
    match unfit.ok().and_then(|unfit| unfit.clone()) {
        Some(unfit) => unfit,
        None => std::future::pending().await,
    }
}

/// Waits until the reason is not `known` any more, and returns the new one. `None` if it is fit.
pub(crate) async fn other_than(fitness: &mut Fitness, known: &Unfit) -> Option<Unfit> {
    let changed = fitness.wait_for(|now| now.as_ref() != Some(known)).await;
    changed.ok().and_then(|now| now.clone())
}

/// The fitness of something that is examined regularly and after failed jobs.
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

    /// Examines it, unless another examination begins after this call, whose finding then counts.
    pub(crate) async fn examine(&self, examination: impl Future<Output = Option<Unfit>>) {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if last.is_some_and(|began| began > asked) {
            return;
        }
        let began = Instant::now();
        let found = examination.await;
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
    fn simultaneous_examinations_share_a_finding() {
        local(async {
            let (examined, examinations) = (Examined::default(), std::cell::Cell::new(0));
            let examine = || {
                examined.examine(async {
                    examinations.set(examinations.get() + 1);
                    tokio::task::yield_now().await;
                    Some(Unfit::MakingRoom)
                })
            };
            // The first may have begun before the others were asked for; one more is enough for all of them.
            futures::future::join_all((0..10).map(|_| examine())).await;
            assert!(examinations.get() <= 2, "{}", examinations.get());
            assert_eq!(*examined.fitness().borrow(), Some(Unfit::MakingRoom));
            examine().await;
            assert!(examinations.get() <= 3);
        });
    }

    #[test]
    fn the_output_of_docker_is_shown_on_one_line() {
        let output = "Cannot connect to the Docker daemon.\nIs it\u{1b} running?\n".to_owned();
        assert_eq!(
            Unfit::NoEngine(output).to_string(),
            "the Docker engine cannot be reached: Cannot connect to the Docker daemon. Is it\\u{1b} running?"
        );
    }
}
