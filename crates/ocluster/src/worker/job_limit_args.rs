//! Options that limit what a job may use, shared by `ocluster-worker` and `ocluster dev`.

use std::time::Duration;

use cgroup::{CpuLimit, Limits, MemoryLimit, PidLimit};
use cluster_worker::JobLimits;

use cli::quantities::seconds;

/// Options that limit what a job may use.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct JobLimitArgs {
    /// Memory limit of each step or command, such as 4GiB; processes that exceed it are killed
    ///
    /// The limit applies to each step of an OBuilder job, each custom job, and each command of a Docker job without
    /// BuildKit.
    #[arg(long, value_name = "SIZE")]
    job_memory: Option<MemoryLimit>,
    /// Limit of processes and threads of each step or job; starting more fails
    ///
    /// The limit applies to each step of an OBuilder job and each custom job.
    #[arg(long, value_name = "N", default_value_t)]
    job_pids: PidLimit,
    /// Limit of CPUs of each step or command, such as 2 or 1.5
    ///
    /// The limit applies to each step of an OBuilder job, each custom job, and each command of a Docker job without
    /// BuildKit.
    #[arg(long, value_name = "N")]
    job_cpus: Option<CpuLimit>,
    /// Time limit of a job, in seconds (0: no limit)
    ///
    /// The time that the job waits to run does not count.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    job_timeout: Duration,
}

impl From<JobLimitArgs> for JobLimits {
    fn from(args: JobLimitArgs) -> Self {
        let JobLimitArgs {
            job_memory,
            job_pids,
            job_cpus,
            job_timeout,
        } = args;
        Self {
            groups: Limits {
                memory: job_memory,
                pids: Some(job_pids),
                cpus: job_cpus,
            },
            timeout: Some(job_timeout).filter(|limit| !limit.is_zero()),
        }
    }
}
