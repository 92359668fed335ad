//! Options about durable jobs: how long they are kept, and what they get unless their clients ask for something else.

use std::num::NonZeroU8;
use std::time::Duration;

use cluster_scheduler::JobSettings;

use cli::quantities::{disk_bytes, seconds};

/// How durable jobs are kept. The defaults are those of [`JobSettings`], which a test checks.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Durable jobs")]
pub(crate) struct JobArgs {
    /// Remove jobs that ended this many days ago
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(u16).range(1..))]
    keep_jobs: u16,
    /// Remove the logs of jobs after this many days
    ///
    /// A log is removed with its job at the latest.
    #[arg(long, value_name = "DAYS", default_value = "30")]
    keep_logs: u16,
    /// Remove the oldest logs of ended jobs above this total size
    #[arg(long, value_name = "SIZE", default_value = "100GiB", value_parser = disk_bytes)]
    max_logs_size: u64,
    /// Time for which a durable job that did not succeed can be retried, in seconds
    ///
    /// Its description is kept for so long after its end, encrypted.
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = seconds)]
    retry_for: Duration,
    /// Remove entries of the audit log after this many days
    #[arg(long, value_name = "DAYS", default_value = "365")]
    keep_audit: u16,
    /// Time for a disconnected worker to return before its jobs are run again, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    worker_grace: Duration,
    /// Time for a client to return before its jobs are cancelled, in seconds
    ///
    /// This is for a client that closed its connection, and for jobs that are to be cancelled when no client watches
    /// them. Each job may ask for another time.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    client_grace: Duration,
    /// The same for a client whose connection broke: its network, or its machine sleeps
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    client_grace_silent: Duration,
    /// The same after a start of the scheduler
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    client_grace_restart: Duration,
    /// Attempts of a job that may be lost with their workers before it ends as lost
    ///
    /// Each job may ask for another number.
    #[arg(long, value_name = "N", default_value = "3")]
    job_attempts: NonZeroU8,
}

impl From<JobArgs> for JobSettings {
    fn from(args: JobArgs) -> Self {
        let JobArgs {
            keep_jobs,
            keep_logs,
            max_logs_size,
            retry_for,
            keep_audit,
            worker_grace,
            client_grace,
            client_grace_silent,
            client_grace_restart,
            job_attempts,
        } = args;
        Self {
            keep_jobs: days(keep_jobs),
            keep_logs: days(keep_logs),
            max_logs_bytes: max_logs_size,
            retry_for,
            keep_audit: days(keep_audit),
            worker_grace,
            client_grace,
            client_grace_silent,
            client_grace_restart,
            job_attempts,
        }
    }
}

fn days(days: u16) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn the_defaults_are_the_librarys() {
        let command = JobArgs::augment_args(clap::Command::new("scheduler"));
        let matches = command.get_matches_from(["scheduler"]);
        let args = JobArgs::from_arg_matches(&matches).unwrap();
        assert_eq!(JobSettings::from(args), JobSettings::default());
    }
}
