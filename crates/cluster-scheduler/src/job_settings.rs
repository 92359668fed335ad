//! How durable jobs are kept, and what they get unless their clients ask for something else.

use std::num::NonZeroU8;
use std::time::Duration;

/// How durable jobs are kept, and what they get unless their clients ask for something else.
///
/// Each is an option of `ocluster-scheduler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// How long a job is kept after its end.
    pub keep_jobs: Duration,
    /// How long a log is kept after its end; at most as long as its job.
    pub keep_logs: Duration,
    /// How much of the disk the logs of jobs that have ended may take, in bytes. The oldest are removed first.
    pub max_logs_bytes: u64,
    /// How long the description of a job that did not succeed is kept after its end, so that the job can be retried.
    pub retry_for: Duration,
    /// How long an entry of the audit log is kept.
    pub keep_audit: Duration,
    /// How long a worker that lost its connection may take to return before its jobs are run again.
    pub worker_grace: Duration,
    /// How long a job waits for its client to return that has closed its connection.
    pub client_grace: Duration,
    /// How long a job waits for its client to return whose connection was lost because nothing arrived.
    pub client_grace_silent: Duration,
    /// How long a job waits for its client to return after the scheduler has started.
    pub client_grace_restart: Duration,
    /// How many attempts of a job may be lost with their workers before it ends as lost.
    pub job_attempts: NonZeroU8,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for JobSettings {
    fn default() -> Self {
        let timeouts = jobs::ReturnTimeouts::default();
        Self {
            keep_jobs: 30 * DAY,
            keep_logs: 30 * DAY,
            max_logs_bytes: 100 << 30,
            retry_for: DAY,
            keep_audit: 365 * DAY,
            worker_grace: jobs::Config::default().return_timeout,
            client_grace: timeouts.closed,
            client_grace_silent: timeouts.silent,
            client_grace_restart: timeouts.restarted,
            job_attempts: jobs::DEFAULT_ATTEMPTS,
        }
    }
}

impl JobSettings {
    /// Returns what all jobs have in common.
    pub(crate) fn machine(&self) -> jobs::Config {
        jobs::Config::with_return_timeout(self.worker_grace)
    }

    /// Returns how long a job waits for its client, unless it asks for something else.
    pub(crate) fn return_timeouts(&self) -> jobs::ReturnTimeouts {
        jobs::ReturnTimeouts {
            closed: self.client_grace,
            silent: self.client_grace_silent,
            restarted: self.client_grace_restart,
        }
    }
}
