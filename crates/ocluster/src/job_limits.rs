//! Options about what a job may use, which `ocluster-worker` and `ocluster dev` have in common.

use std::time::Duration;

use cgroup::{CpuLimit, Limits, MemoryLimit, PidLimit};
use cluster_worker::JobLimits;

use crate::obuilder_args::seconds;

/// Options about what a job may use.
#[derive(clap::Args, Clone, Debug)]
pub struct JobLimitArgs {
    /// Memory of each step of an OBuilder job, of each custom job and of each command of a Docker job without BuildKit, such
    /// as 4GiB. What uses more is killed
    #[arg(long, value_name = "SIZE")]
    job_memory: Option<MemoryLimit>,
    /// Processes and threads of each step of an OBuilder job and of each custom job. No more are started
    #[arg(long, value_name = "N", default_value_t)]
    job_pids: PidLimit,
    /// Processors of each step of an OBuilder job, of each custom job and of each command of a Docker job without BuildKit, such as 2
    /// or 1.5. What uses more waits
    #[arg(long, value_name = "N")]
    job_cpus: Option<CpuLimit>,
    /// Longest time that a job may run, in seconds; 0 for any time. Waiting for its turn does not count
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
