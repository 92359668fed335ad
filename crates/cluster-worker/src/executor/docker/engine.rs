//! Whether the Docker engine is there and answers.

use std::cell::Cell;
use std::time::Duration;

use super::commands::Docker;
use crate::cancel::Cancel;
use crate::executor::{Examined, Fitness, Unfit};
use crate::process::{ProcessError, Processes};

/// The time limit for an engine to report its version. On an overloaded machine this takes a few seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The engine, and whether it is there.
pub(super) struct Engine {
    docker: Docker,
    processes: Processes,
    examined: Examined,
    /// Whether this worker also runs jobs of other kinds, so that the machine may be without Docker.
    is_optional: bool,
    /// Whether it has ever answered.
    has_answered: Cell<bool>,
    /// Whether its absence has been logged.
    is_known_absent: Cell<bool>,
}

impl Engine {
    pub(super) fn new(docker: Docker, processes: Processes) -> Self {
        Self {
            docker,
            processes,
            examined: Examined::default(),
            is_optional: false,
            has_answered: Cell::new(false),
            is_known_absent: Cell::new(false),
        }
    }

    /// With `is_optional`, the worker may be on a machine without Docker, until an engine has answered once.
    pub(super) fn optional(mut self, is_optional: bool) -> Self {
        self.is_optional = is_optional;
        self
    }

    pub(super) fn fitness(&self) -> Fitness {
        self.examined.fitness()
    }

    /// Returns whether this worker's machine is without Docker.
    pub(super) fn is_absent(&self) -> bool {
        self.is_known_absent.get() && !self.has_answered.get()
    }

    /// Checks whether it answers.
    pub(super) async fn examine(&self) {
        self.examined.examine(self.probe()).await;
    }

    async fn probe(&self) -> Option<Unfit> {
        let Err(unfit) = self.ask().await else {
            self.has_answered.set(true);
            return None;
        };
        if self.is_optional && !self.has_answered.get() {
            if !self.is_known_absent.replace(true) {
                tracing::info!("This worker builds no Dockerfiles: {unfit}");
            }
            return None;
        }
        Some(unfit)
    }

    async fn ask(&self) -> Result<(), Unfit> {
        let (command, never) = (self.docker.version(), Cancel::new());
        let asked = self.processes.probe(&command, &never);
        let answer = tokio::time::timeout(ANSWER_LIMIT, asked).await;
        let (result, output) = answer.map_err(|_| {
            let limit = ANSWER_LIMIT.as_secs();
            Unfit::NoEngine(format!("no answer within {limit} s"))
        })?;
        match result {
            Ok(_) => Ok(()),
            Err(ProcessError::NotStarted { reason, .. }) => Err(Unfit::NoDocker(reason)),
            Err(error) if output.trim().is_empty() => Err(Unfit::NoEngine(error.to_string())),
            Err(_) => Err(Unfit::NoEngine(output)),
        }
    }
}
