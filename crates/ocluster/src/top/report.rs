//! What the scheduler reports, and what it is asked for.

use cluster_api::{ListedJob, LogTime};

use crate::admin::KnownJob;
use crate::admin::state::State;

/// A pool at one moment.
pub(super) struct Pool {
    pub(super) name: String,
    /// Its state, or why it cannot be read.
    pub(super) state: Result<State, String>,
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
        job: Result<Box<KnownJob>, String>,
    },
    /// Bytes of its log; none are the end.
    Log {
        log: WantedLog,
        bytes: Vec<u8>,
        next: u64,
    },
    /// Its log cannot be read.
    NoLog { log: WantedLog, why: String },
    /// When a part of its log was written, up to an offset.
    Times {
        part: WantedTimes,
        times: Vec<LogTime>,
        to: u64,
    },
    /// That is not known.
    NoTimes { part: WantedTimes, why: String },
}

/// What the screen needs from the scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The pool whose queue and jobs are shown; `None` for all pools.
    pub(super) pool: Option<String>,
    /// The job that is shown.
    pub(super) job: Option<String>,
    pub(super) log: Option<WantedLog>,
    pub(super) times: Option<WantedTimes>,
}

/// A log that the screen follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedLog {
    pub(super) id: String,
    pub(super) attempt: u32,
    /// Where the missing bytes begin.
    pub(super) from: u64,
}

/// A part of a log of which the screen shows when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedTimes {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) from: u64,
    pub(super) to: u64,
}
