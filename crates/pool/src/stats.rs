//! Plain numbers for metrics, computed from the state when asked, so that none can leak.

use alloc::vec::Vec;

use crate::assign::Waiting;
use crate::backlog::InOrder;
use crate::{ClientId, InactiveReason, Pool, WorkerName};

/// A pool in numbers. The comments give the metrics they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// `ocluster_pool_jobs_submitted_total`.
    pub submitted: u64,
    /// `ocluster_pool_jobs_cancelled_total`: cancelled while queued.
    pub cancelled: u64,
    /// `ocluster_pool_jobs_accepted_total`.
    pub accepted: u64,
    /// `ocluster_pool_workers_connected`.
    pub connected: usize,
    /// `ocluster_pool_workers_capacity`.
    pub capacity: u64,
    /// `ocluster_pool_workers_ready`.
    pub ready: usize,
    /// `ocluster_pool_workers_paused`: connected but inactive.
    pub paused: usize,
    /// `ocluster_pool_workers_not_answering`: connected, but not answering.
    pub not_answering: usize,
    /// `ocluster_pool_queue_length{queue="incoming"}`: the backlog.
    pub backlog: ByPriority,
    /// `ocluster_pool_queue_length{queue=…}`, for the connected workers in the order of their names.
    pub workers: Vec<WorkerStats>,
    /// `ocluster_scheduler_client_submitted_jobs`, in the order of the clients' ids.
    pub clients: Vec<ClientStats>,
}

/// How many tickets are urgent, and how many are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByPriority {
    /// Urgent ones: `priority="high"`.
    pub high: usize,
    /// The others: `priority="low"`.
    pub low: usize,
}

/// One connected worker in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStats {
    /// Its name.
    pub name: WorkerName,
    /// Tickets in its queue.
    pub queued: ByPriority,
    /// Jobs it runs.
    pub running: usize,
}

/// One client in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStats {
    /// Its id.
    pub id: ClientId,
    /// Its tickets that no worker has taken.
    pub queued: ByPriority,
}

impl Pool {
    /// Returns the pool's numbers.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            submitted: self.totals.submitted,
            cancelled: self.totals.cancelled,
            accepted: self.totals.accepted,
            ..Stats::default()
        };
        match &self.waiting {
            Waiting::Backlog(backlog) => stats.backlog = by_priority(backlog),
            Waiting::Ready(ready) => stats.ready = ready.len(),
        }
        for (_, name, worker) in self.workers.connected() {
            stats.connected += 1;
            stats.capacity += u64::from(worker.capacity);
            stats.paused += usize::from(!worker.is_active());
            let is_silent = worker.reasons.contains(InactiveReason::NotAnswering);
            stats.not_answering += usize::from(is_silent);
            stats.workers.push(WorkerStats {
                name: name.clone(),
                queued: by_priority(&worker.queue),
                running: worker.running.len(),
            });
        }
        for (id, client) in self.clients.iter() {
            let queued = ByPriority {
                high: client.urgent,
                low: client.queued.len() - client.urgent,
            };
            stats.clients.push(ClientStats {
                id: id.clone(),
                queued,
            });
        }
        stats
    }
}

fn by_priority(queue: &InOrder) -> ByPriority {
    ByPriority {
        high: queue.urgent(),
        low: queue.len() - queue.urgent(),
    }
}
