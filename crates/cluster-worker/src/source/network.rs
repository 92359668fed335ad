//! Fetches a job's source over the network: its time limits, and its progress in the job's log.

use std::cell::Cell;
use std::time::{Duration, Instant};

use visible::Elapsed;

use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;
use crate::process::{Command, Filter, ProcessError, Processes, TimeLimits};

use super::fetch_config::FetchConfig;
use super::progress::Progress;

/// Runs the commands of one job that wait for servers.
pub(super) struct Network<'a> {
    pub(super) processes: &'a Processes,
    pub(super) log: &'a JobLog,
    pub(super) cancel: &'a Cancel,
    config: FetchConfig,
    /// How long the commands have taken so far.
    spent: Cell<Duration>,
}

/// Why a fetch failed.
pub(super) enum NetworkError {
    /// Git failed. Its output is in the log.
    Refused(JobError),
    /// Any other error. A retry would not help.
    Final(JobError),
}

impl From<NetworkError> for JobError {
    fn from(error: NetworkError) -> Self {
        let (NetworkError::Refused(error) | NetworkError::Final(error)) = error;
        error
    }
}

impl<'a> Network<'a> {
    pub(super) fn new(
        processes: &'a Processes,
        log: &'a JobLog,
        cancel: &'a Cancel,
        config: FetchConfig,
    ) -> Self {
        Self {
            processes,
            log,
            cancel,
            config,
            spent: Cell::default(),
        }
    }

    /// Runs a command that fetches `what`. Returns a summary for the log: how much was received, if git has reported
    /// it, and how long it took.
    pub(super) async fn fetch(
        &self,
        what: &str,
        command: &Command,
        mut progress: Progress,
    ) -> Result<String, NetworkError> {
        let FetchConfig { silence, total, .. } = self.config;
        let (ended, time) = self.run(command, &mut progress).await;
        let seconds = |limit: Option<Duration>| limit.unwrap_or_default().as_secs_f64();
        match ended {
            Ok(()) => {
                let size = progress.received().map(|size| format!("{size} in "));
                Ok(format!("{}{}", size.unwrap_or_default(), Elapsed(time)))
            }
            Err(ProcessError::Silent { .. }) => {
                Err(NetworkError::Final(JobError::failed(format!(
                    "cannot fetch {what}: nothing arrived for --git-silence-timeout={} seconds; check that its server \
                     answers, and submit the job again",
                    seconds(silence)
                ))))
            }
            Err(ProcessError::TooLong { .. }) => {
                Err(NetworkError::Final(JobError::failed(format!(
                    "cannot fetch {what}: it took longer than --git-timeout={} seconds; submit the job again, or ask \
                     the worker's operator to raise the limit",
                    seconds(total)
                ))))
            }
            Err(error @ (ProcessError::Exit { .. } | ProcessError::Signal { .. })) => {
                Err(NetworkError::Refused(error.into()))
            }
            Err(error) => Err(NetworkError::Final(error.into())),
        }
    }

    /// Returns whether a command succeeds within the limits. Its output is not logged.
    pub(super) async fn succeeds(&self, command: &Command) -> Result<bool, JobError> {
        match self.run(command, &mut Nothing).await.0 {
            Ok(()) => Ok(true),
            Err(error @ (ProcessError::Cancelled | ProcessError::Log(_))) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    async fn run(
        &self,
        command: &Command,
        filter: &mut dyn Filter,
    ) -> (Result<(), ProcessError>, Duration) {
        let limits = TimeLimits {
            silence: self.config.silence,
            total: self
                .config
                .total
                .map(|total| total.saturating_sub(self.spent.get())),
        };
        let started = Instant::now();
        let ended = self
            .processes
            .run_limited(command, self.log, self.cancel, limits, filter)
            .await;
        let time = started.elapsed();
        self.spent.set(self.spent.get() + time);
        (ended, time)
    }
}

/// Removes all output of a program.
struct Nothing;

impl Filter for Nothing {
    fn pass(&mut self, _bytes: &[u8], _shown: &mut Vec<u8>) {}

    fn finish(&mut self, _shown: &mut Vec<u8>) {}
}
