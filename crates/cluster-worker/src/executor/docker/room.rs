//! The disk space of images and caches, and pruning them.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use visible::Lines;

use super::commands::Docker;
use crate::cancel::Cancel;
use crate::disk::{FreeThreshold, Gigabytes, free_space};
use crate::executor::NoRoom;
use crate::metrics::Stats;
use crate::process::{Command, ProcessError, Processes};

/// How long a measurement is valid. Measuring the size of images is expensive for the engine.
const FRESH: Duration = Duration::from_secs(10);

/// How long to wait before the engine is asked for its directory again, for the metrics. There may be no engine.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The time limit of the engine's answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// When there is too little space. Without limits, never.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Limits {
    /// How much of the engine's file system must be free.
    pub(super) prune_threshold: Option<FreeThreshold>,
    /// The most that images, containers and the build cache may take. Only checked without `prune_threshold`.
    pub(super) max_df_size: Option<Gigabytes>,
}

/// Watches an engine's disk.
pub(super) struct Room {
    docker: Docker,
    processes: Processes,
    stats: Rc<Stats>,
    limits: Limits,
    /// The directory of the engine's files, once the engine has reported it.
    root_dir: RefCell<Option<PathBuf>>,
    /// When the engine was last asked for it for metrics.
    asked: Cell<Option<Instant>>,
    last_answer: Cell<Option<(Instant, bool)>>,
}

impl Room {
    pub(super) fn new(
        docker: Docker,
        processes: Processes,
        stats: Rc<Stats>,
        limits: Limits,
    ) -> Self {
        match limits {
            Limits {
                prune_threshold: Some(percent),
                ..
            } => {
                tracing::info!("Prune threshold is {percent} free disk-space.");
            }
            Limits {
                prune_threshold: None,
                max_df_size: Some(size),
            } => {
                tracing::info!(
                    "Prune threshold not set; images, containers and the build cache may take {size} GB."
                );
            }
            Limits {
                prune_threshold: None,
                max_df_size: None,
            } => tracing::info!(
                "Prune threshold not set and docker max df size is not. Will not check for low disk-space!"
            ),
        }
        Self {
            docker,
            processes,
            stats,
            limits,
            root_dir: RefCell::new(None),
            asked: Cell::new(None),
            last_answer: Cell::new(None),
        }
    }

    /// Returns whether there is enough space. If it cannot be measured, this is true: builds fail on a full disk.
    pub(super) async fn is_enough(&self) -> bool {
        if let Some((when, answer)) = self.last_answer.get()
            && when.elapsed() < FRESH
        {
            return answer;
        }
        let answer = self.measure().await.unwrap_or_else(|reason| {
            tracing::warn!("Cannot check Docker's disk space: {reason}");
            true
        });
        self.last_answer.set(Some((Instant::now(), answer)));
        answer
    }

    async fn measure(&self) -> Result<bool, String> {
        match self.limits {
            Limits {
                prune_threshold: Some(least),
                ..
            } => {
                let root = self.root_dir().await?;
                let free = free_space(root.clone()).await;
                let free = free.map_err(|error| format!("{}: {error}", root.display()))?;
                tracing::info!(
                    "Docker partition: {:.0}% free blocks, {:.0}% free files",
                    free.free_bytes_percent(),
                    free.free_files_percent()
                );
                Ok(least.is_met(free))
            }
            Limits {
                max_df_size: Some(most),
                ..
            } => {
                let answer = self.ask(&self.docker.disk_usage()).await?;
                let size = used(&answer)?;
                tracing::info!(
                    "Docker's images, containers and build cache take {size:.1} GB of --docker-max-df-size={most}"
                );
                Ok(size <= most.value())
            }
            Limits { .. } => Ok(true),
        }
    }

    /// Returns the directory of the engine's files, if the engine reports it.
    pub(super) async fn directory(&self) -> Option<PathBuf> {
        let known = self.root_dir.borrow().clone();
        let asked = self.asked.get();
        if known.is_some() || asked.is_some_and(|when| when.elapsed() < ASK_AGAIN) {
            return known;
        }
        self.asked.set(Some(Instant::now()));
        let answer = self.root_dir().await;
        answer
            .inspect_err(|reason| {
                tracing::debug!("Cannot determine the directory of Docker's files: {reason}");
            })
            .ok()
    }

    async fn root_dir(&self) -> Result<PathBuf, String> {
        if let Some(known) = self.root_dir.borrow().clone() {
            return Ok(known);
        }
        let answer = self.ask(&self.docker.root_dir()).await?;
        let root = PathBuf::from(answer.trim());
        if !root.is_absolute() {
            return Err(format!("unknown Docker root {answer:?}"));
        }
        *self.root_dir.borrow_mut() = Some(root.clone());
        Ok(root)
    }

    async fn ask(&self, command: &Command) -> Result<String, String> {
        // An engine that hangs must not hang the worker.
        let never = Cancel::new();
        match tokio::time::timeout(ANSWER_LIMIT, self.processes.ask(command, &never)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("{} does not answer", command.label())),
        }
    }

    /// Removes everything that no container uses.
    pub(super) async fn make(&self) -> Result<(), NoRoom> {
        let started = Instant::now();
        let pruned = self.prune().await;
        self.stats.prune_time.add(started.elapsed());
        self.last_answer.set(None);
        if let Err(error) = pruned {
            tracing::warn!("{error}");
            return Err(NoRoom::PruneFailed);
        }
        if self.is_enough().await {
            Ok(())
        } else {
            Err(NoRoom::StillLow)
        }
    }

    async fn prune(&self) -> Result<(), ProcessError> {
        for command in self.docker.prune() {
            let output = self.processes.ask(&command, &Cancel::new()).await?;
            tracing::info!("{}: {}", command.label(), Lines(output.trim()));
        }
        Ok(())
    }
}

/// Returns how much space images, containers and the build cache take, in gigabytes, from the output of
/// `docker system df`.
///
/// Its third line is about volumes, which builds do not make and pruning does not remove. Other engines may print fewer
/// lines.
fn used(answer: &str) -> Result<f64, String> {
    let mut lines = answer.lines();
    let (images, containers, _volumes, cache) =
        (lines.next(), lines.next(), lines.next(), lines.next());
    let images = images.unwrap_or_default();
    let sizes = [Some(images), containers, cache].into_iter().flatten();
    let size = |text: &str| parse_size(text).ok_or_else(|| format!("unknown size {text:?}"));
    sizes.map(size).sum()
}

/// Reads a size as `docker` prints it, such as `1.5GB`, in gigabytes.
fn parse_size(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let factor = match unit {
        "B" => 1e-9,
        "kB" => 1e-6,
        "MB" => 1e-3,
        "GB" => 1.0,
        "TB" => 1e3,
        "PB" => 1e6,
        _ => return None,
    };
    Some(number.trim().parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::{parse_size, used};

    #[test]
    fn volumes_are_not_counted() {
        assert_eq!(used("1.5GB\n500MB\n9TB\n2GB\n"), Ok(4.0));
        assert_eq!(used("1.5GB\n"), Ok(1.5));
        assert!(used("").is_err() && used("1GB\nmuch\n").is_err());
    }

    #[test]
    fn sizes() {
        let sizes = ["0B", "512kB", "1.5GB", "2TB\n", "12", "1.5GiB", ""].map(parse_size);
        assert_eq!(
            sizes,
            [
                Some(0.0),
                Some(0.000512),
                Some(1.5),
                Some(2000.0),
                None,
                None,
                None
            ]
        );
    }
}
