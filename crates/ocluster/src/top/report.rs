//! What the scheduler reports, and what it is asked for.

use cluster_api::{Explanation, JobDetails, ListedJob, PoolExplanations};

use crate::admin::state::State;

/// A pool at one moment.
pub(super) struct Pool {
    pub(super) name: String,
    /// Its state, or why it cannot be read.
    pub(super) state: Result<State, String>,
    /// Why its jobs wait and its workers run no more of them, if it is shown and the scheduler can report it.
    pub(super) reasons: Option<PoolExplanations>,
}

impl Pool {
    /// Returns why a job waits.
    pub(super) fn reason_of_job(&self, ticket: u64) -> Option<&Explanation> {
        let jobs = &self.reasons.as_ref()?.jobs;
        let found = jobs.iter().find(|(number, _)| *number == ticket);
        found.map(|(_, explanation)| explanation)
    }

    /// Returns why a worker runs no more jobs.
    pub(super) fn reason_of_worker(&self, name: &str) -> Option<&Explanation> {
        let workers = &self.reasons.as_ref()?.workers;
        let found = workers.iter().find(|(worker, _)| worker == name);
        found.map(|(_, explanation)| explanation)
    }
}

/// Jobs in the history, the latest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    /// The pool; `None` for those of all pools.
    pub(super) pool: Option<String>,
    /// Those that run. Empty if they are of all pools.
    pub(super) running: Vec<ListedJob>,
    /// Those that have ended; of all pools, those that did not succeed.
    pub(super) ended: Vec<ListedJob>,
}

/// Something that the scheduler, or the connection to it, reports.
pub(super) enum Report {
    /// The connection is lost, or there is none yet, and why.
    Lost(String),
    /// The pools, and the jobs that go with what is shown; `None` if this scheduler keeps no history.
    Pools {
        pools: Vec<Pool>,
        jobs: Option<Jobs>,
    },
    /// The job that is shown, or why it is not.
    Job {
        id: String,
        details: Result<Box<JobDetails>, String>,
    },
    /// Bytes of its log; none are the end.
    Log {
        log: WantedLog,
        bytes: Vec<u8>,
        next: u64,
    },
    /// Its log cannot be read.
    NoLog { log: WantedLog, why: String },
}

/// What the screen needs from the scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The pool whose queue and jobs are shown; `None` for all pools.
    pub(super) pool: Option<String>,
    /// The job that is shown.
    pub(super) job: Option<String>,
    pub(super) log: Option<WantedLog>,
}

/// A log that the screen follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedLog {
    pub(super) id: String,
    pub(super) attempt: u32,
    /// Where the missing bytes begin.
    pub(super) from: u64,
}
