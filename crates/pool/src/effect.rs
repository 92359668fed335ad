//! What the caller must do after telling the pool what happened.

use crate::decision::Decision;
use crate::{CacheHint, ClientId, PopId, Rate, TicketId, WorkerId, WorkerName};

/// What the caller must do. See "adding an effect" in this crate's README.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer the worker's pop with this job. It counts as running until `job_ended`.
    Deliver {
        /// The request to answer.
        pop: PopId,
        /// Who made it. The registration may have ended since.
        worker: WorkerId,
        /// The worker's name, to say where the job went.
        name: WorkerName,
        /// The job to answer with.
        ticket: TicketId,
    },
    /// Probe a worker from which nothing has arrived for long: a job waits for it.
    ///
    /// Report to the pool that something arrived ([`Pool::heard_from`](crate::Pool::heard_from)), or that it is not
    /// answering ([`InactiveReason::NotAnswering`](crate::InactiveReason::NotAnswering)).
    Probe {
        /// The worker to probe. The registration may have ended since.
        worker: WorkerId,
    },
    /// Fail the worker's pop with "Worker disconnected".
    PopFailed {
        /// The request to fail.
        pop: PopId,
    },
    /// Remember (on disk) that `worker` has built `hint`. Never for the empty hint.
    SaveCached {
        /// What was built; never empty.
        hint: CacheHint,
        /// By whom.
        worker: WorkerName,
    },
    /// Forget that `worker` has built `hint`: it has dropped what it had cached.
    ForgetCached {
        /// What was built; never empty.
        hint: CacheHint,
        /// By whom.
        worker: WorkerName,
    },
    /// Remember that `worker` exists, and whether an admin has paused it.
    SavePaused {
        /// The worker, which may be new.
        worker: WorkerName,
        /// Whether an admin has paused it.
        paused: bool,
    },
    /// Remember a client's rate.
    SaveRate {
        /// The client.
        client: ClientId,
        /// Its rate from now on.
        rate: Rate,
    },
    /// Remember nothing about `worker` any more: neither that it exists nor what it has cached.
    ForgetWorker {
        /// The worker.
        worker: WorkerName,
    },
    /// Notify those who watch (drain, update) how many jobs a worker has running.
    RunningChanged {
        /// The worker, which may have disconnected just now.
        worker: WorkerName,
        /// How many jobs it runs.
        running: usize,
    },
    /// Log a decision.
    Decided(Decision),
}
