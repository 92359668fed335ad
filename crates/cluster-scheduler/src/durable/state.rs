//! What a scheduler has in memory of durable jobs.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use cluster_api::{Job, Phase};
use futures::channel::oneshot;
use jobs::{AttemptId, Departure, JobId, Jobs, RequestId, Saved, SavedStage};
use pool::{TicketId, WorkerId, WorkerName};

use super::Answer;
use super::live::{Live, LogState};
use super::watched::Watched;
use crate::clock::Clock;
use crate::config::PoolName;
use crate::history::JobResult;
use crate::reactor::Reactor;

/// A worker that is to get an attempt. If it is dropped, the worker waits for another job.
pub(super) struct HeldAssignment {
    pub(super) run: Rc<Run>,
    /// The job, as the worker will serve it.
    pub(super) job: Job,
    /// Answers the worker.
    pub(super) give: Box<dyn FnOnce(AttemptId)>,
}

/// What is in memory.
pub(super) struct State {
    pub(super) jobs: Jobs,
    /// Boxed, as the nodes of the map are only two thirds full.
    pub(super) live: BTreeMap<JobId, Box<Live>>,
    /// The logs of jobs that have ended before their workers stopped: they still grow.
    pub(super) ending_logs: BTreeMap<AttemptId, Watched<LogState>>,
    /// The times of the attempts that are followed.
    pub(super) times: HashMap<AttemptId, AttemptTimes>,
    /// The calls that wait for the disk.
    pub(super) requests: HashMap<RequestId, oneshot::Sender<Answer>>,
    pub(super) last_request: u64,
    /// Workers that are to get an attempt as soon as that is on disk.
    pub(super) held: HashMap<AttemptId, HeldAssignment>,
    /// The attempts that are followed, until their ends are acknowledged.
    pub(super) runs: HashMap<AttemptId, Followed>,
    /// Workers that have returned, until it is on disk what becomes of what they have kept.
    pub(super) returns: HashMap<RequestId, Return>,
    /// What was released inside the RPC system.
    pub(super) left: Vec<(JobId, Departure)>,
}

/// An attempt that is followed, over one connection of its worker.
pub(super) struct Run {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerName,
    /// Whether the worker keeps it while it is disconnected.
    pub(super) outlives_connection: bool,
    /// Whether the worker's process ended while it ran.
    pub(super) is_interrupted: bool,
}

/// An attempt that is followed, and the job as its worker serves it: holding it keeps the attempt going.
pub(super) struct Followed {
    pub(super) run: Rc<Run>,
    pub(super) job: Job,
    /// Of one that its worker has returned with: its ticket in the pool, which this module ends.
    pub(super) adopted: Option<(Rc<Reactor>, TicketId)>,
}

/// What is known of the times of an attempt that is followed.
pub(super) struct AttemptTimes {
    /// What copies them: over another connection, another one may soon.
    pub(super) copier: Rc<()>,
    /// By their numbers.
    pub(super) phases: BTreeMap<u32, Phase>,
    /// The times of its log are known up to this offset.
    pub(super) known: Watched<u64>,
}

/// What a worker has returned with, until it is on disk what becomes of each attempt.
pub(super) struct Return {
    pub(super) pool: PoolName,
    pub(super) worker: WorkerName,
    pub(super) registration: WorkerId,
    pub(super) held: Vec<HeldJob>,
}

pub(super) struct HeldJob {
    pub(super) attempt: AttemptId,
    pub(super) job: Job,
    pub(super) is_interrupted: bool,
    pub(super) is_running: bool,
}

impl Followed {
    /// It is not followed any more.
    pub(super) fn end(self, result: JobResult) {
        if let Some((pool, ticket)) = self.adopted {
            pool.job_finished(ticket, result);
        }
    }
}

impl State {
    /// Returns the state of a scheduler that has just started.
    pub(super) fn new(jobs: Jobs, live: BTreeMap<JobId, Box<Live>>) -> Self {
        Self {
            jobs,
            live,
            ending_logs: BTreeMap::new(),
            times: HashMap::new(),
            requests: HashMap::new(),
            last_request: 0,
            held: HashMap::new(),
            runs: HashMap::new(),
            returns: HashMap::new(),
            left: Vec::new(),
        }
    }

    /// Returns the log of an attempt that may still grow.
    pub(super) fn growing_log(&self, attempt: AttemptId) -> Option<&Watched<LogState>> {
        let ending = self.ending_logs.get(&attempt);
        ending.or_else(|| {
            let live = self.live.get(&attempt.job)?;
            (live.attempts == attempt.number).then_some(&live.log)
        })
    }

    pub(super) fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }
}

/// Returns what is in memory of the jobs that were restored.
pub(super) fn restored(
    saved: &[Saved],
    description_sizes: &HashMap<JobId, usize>,
    pools: &BTreeMap<PoolName, Rc<Reactor>>,
    clock: Clock,
) -> BTreeMap<JobId, Box<Live>> {
    let live = saved.iter().filter_map(|saved| {
        let pool = pools.get(&*saved.new.pool)?;
        let bytes = description_sizes.get(&saved.new.id).copied().unwrap_or(0);
        let live = Live::new(Rc::clone(pool), bytes, saved.attempts, clock.unix_now());
        if matches!(&saved.stage, SavedStage::Assigned(attempt) if attempt.survives) {
            // Its worker may return, with more of it.
            live.log.send_modify(|log| log.is_complete = false);
        }
        Some((saved.new.id, Box::new(live)))
    });
    live.collect()
}
