//! Options that limit what clients and workers may use of a scheduler.

use cluster_scheduler::Limits;

use cli::quantities::bytes;

/// What clients and workers may use. The defaults are those of [`Limits`], which a test checks.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Size limit of a job's description: what to build, with its secrets
    ///
    /// Values above 8MiB have no effect.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = bytes)]
    max_description_size: usize,
    /// Limit of one client's queued jobs, over all pools
    #[arg(long, value_name = "N", default_value = "200000")]
    max_queued_jobs: usize,
    /// Memory limit for the descriptions of one client's queued jobs
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = bytes)]
    max_client_queue_size: usize,
    /// Memory limit for the descriptions of all queued jobs
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = bytes)]
    max_queue_size: usize,
    /// Limit of workers known to a pool, connected or not
    #[arg(long, value_name = "N", default_value = "10000")]
    max_pool_workers: usize,
    /// Limit of workers registered through one connection
    #[arg(long, value_name = "N", default_value = "100")]
    max_connection_workers: usize,
    /// Size limit of a worker's metrics page
    ///
    /// Values above 16MiB have no effect.
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = bytes)]
    max_metrics_size: usize,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        let LimitArgs {
            max_description_size,
            max_queued_jobs,
            max_client_queue_size,
            max_queue_size,
            max_pool_workers,
            max_connection_workers,
            max_metrics_size,
        } = args;
        Self {
            description_bytes: max_description_size,
            queued_jobs: max_queued_jobs,
            client_queue_bytes: max_client_queue_size,
            queue_bytes: max_queue_size,
            pool_workers: max_pool_workers,
            connection_workers: max_connection_workers,
            metrics_bytes: max_metrics_size,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn the_defaults_are_the_librarys() {
        let command = LimitArgs::augment_args(clap::Command::new("scheduler"));
        let matches = command.get_matches_from(["scheduler"]);
        let args = LimitArgs::from_arg_matches(&matches).unwrap();
        assert_eq!(Limits::from(args), Limits::default());
    }
}
