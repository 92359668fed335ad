//! Options of jobs that the scheduler keeps.

use std::num::NonZeroU8;
use std::time::Duration;

use cluster_api::{EncodedDescription, JobRequest, Label, ReturnTimeouts, Unwatched};

use crate::labels::{label, name};
use cli::quantities::seconds;

/// Options of jobs that the scheduler keeps. OCaml schedulers keep none.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct DurableArgs {
    /// Print the id of the job, and exit
    ///
    /// The job continues. Its log is read with the command logs.
    #[arg(long)]
    pub(super) detach: bool,
    /// Name of this submission: with the same one, no second job is submitted
    ///
    /// The first job of that name is followed instead, also if it has ended.
    #[arg(long, value_name = "KEY", value_parser = name)]
    key: Option<String>,
    /// Label to find the job by, such as branch=main; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<Label>,
    /// How many workers may be lost with the job before it ends as lost [default: 3]
    #[arg(long, value_name = "NUMBER")]
    attempts: Option<NonZeroU8>,
    /// Time limit for each run of the job, in seconds [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    timeout: Option<Duration>,
    /// Time limit for the wait for a worker, in seconds [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    queue_timeout: Option<Duration>,
    /// Time limit for the job to write nothing to its log, in seconds [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    silence_timeout: Option<Duration>,
    /// Time for which the job goes on when this client is gone, in seconds
    ///
    /// By default, the scheduler decides: 15 seconds after the client was killed, 10 minutes after its connection fell
    /// silent, and 2 minutes after a restart of the scheduler.
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, conflicts_with = "detach")]
    return_timeout: Option<Duration>,
}

impl DurableArgs {
    /// Returns the request for a job.
    pub(super) fn request(
        &self,
        pool: &str,
        description: EncodedDescription,
        urgent: bool,
    ) -> JobRequest {
        let Self {
            detach,
            key,
            labels,
            attempts,
            timeout,
            queue_timeout,
            silence_timeout,
            return_timeout,
        } = self;
        JobRequest {
            pool: pool.to_owned(),
            description,
            urgent,
            key: key.clone(),
            labels: labels.clone(),
            attempts: *attempts,
            queue_limit: *queue_timeout,
            run_limit: *timeout,
            silence_limit: *silence_timeout,
            unwatched: match detach {
                true => Unwatched::Continues,
                false => Unwatched::Cancelled(ReturnTimeouts {
                    closed: *return_timeout,
                    silent: *return_timeout,
                    restarted: *return_timeout,
                }),
            },
        }
    }

    /// Returns an option that was given, and that only a scheduler with durable jobs can honour.
    pub(super) fn required(&self) -> Option<&'static str> {
        let Self {
            detach,
            key,
            labels,
            attempts,
            timeout,
            queue_timeout,
            silence_timeout,
            return_timeout,
        } = self;
        [
            ("--detach", *detach),
            ("--key", key.is_some()),
            ("--label", !labels.is_empty()),
            ("--attempts", attempts.is_some()),
            ("--timeout", timeout.is_some()),
            ("--queue-timeout", queue_timeout.is_some()),
            ("--silence-timeout", silence_timeout.is_some()),
            ("--return-timeout", return_timeout.is_some()),
        ]
        .into_iter()
        .find_map(|(option, is_given)| is_given.then_some(option))
    }
}

/// Parses a time limit.
fn positive_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("expected more than 0 seconds".to_owned()),
        limit => Ok(limit),
    }
}
