//! A pool as an operator reads it, with what goes beyond upstream's `show`.

use cluster_api::{PoolOverview, QueuedJob, WorkerNote};
use pool::{Item, Items, Snapshot, Time, WaitingView, WorkerId, WorkerName};
use visible::natural;

use crate::db::UnixTime;
use crate::details::between;
use crate::pauses::Pauses;
use crate::roster::Roster;
use crate::tickets::Tickets;

/// How many jobs of each queue are listed at most, however many are requested: making the list must not delay other
/// tasks.
pub(crate) const MAX_JOBS: usize = 100_000;

/// What an overview is made from.
pub(crate) struct Sources<'a> {
    pub(crate) roster: &'a Roster,
    pub(crate) tickets: &'a Tickets,
    pub(crate) pauses: &'a Pauses,
    pub(crate) now: Time,
    pub(crate) date: UnixTime,
}

/// Returns the overview of the pool that `snapshot` was taken of just now, with at most `most` waiting jobs.
pub(crate) fn of_pool(sources: &Sources<'_>, mut snapshot: Snapshot, most: usize) -> PoolOverview {
    let (workers, queued, more) = parts(sources, &snapshot, most);
    snapshot
        .workers
        .sort_by(|a, b| natural(a.name.as_str(), b.name.as_str()));
    snapshot
        .disconnected
        .sort_by(|a, b| natural(a.name.as_str(), b.name.as_str()));
    PoolOverview {
        state: snapshot.to_string(),
        workers,
        queued,
        more,
    }
}

/// Returns the workers of the pool that `snapshot` was taken of just now, at most `most` of its waiting jobs, and how
/// many more there are.
pub(crate) fn parts(
    sources: &Sources<'_>,
    snapshot: &Snapshot,
    most: usize,
) -> (Vec<WorkerNote>, Vec<QueuedJob>, u32) {
    let connected = snapshot
        .workers
        .iter()
        .map(|view| sources.worker(&view.name, Some(view.registration)));
    let away = snapshot
        .disconnected
        .iter()
        .map(|view| sources.worker(&view.name, None));
    let mut workers: Vec<_> = connected.chain(away).collect();
    workers.sort_by(|a, b| natural(&a.name, &b.name));

    let backlog = match &snapshot.waiting {
        WaitingView::Backlog(items) => Some((items, None)),
        WaitingView::Ready(_) => None,
    };
    let local = snapshot
        .workers
        .iter()
        .map(|worker| (&worker.queue, Some(&worker.name)));
    let queues: Vec<(&Items, Option<&WorkerName>)> = backlog.into_iter().chain(local).collect();
    let total: usize = queues
        .iter()
        .map(|(items, _)| items.first.len() + items.more)
        .sum();
    let queued = queues.iter().flat_map(|(items, worker)| {
        let jobs = items.first.iter();
        jobs.filter_map(|item| sources.job(item, *worker))
    });
    let queued: Vec<_> = queued.take(most).collect();
    let more = u32::try_from(total.saturating_sub(queued.len())).unwrap_or(u32::MAX);
    (workers, queued, more)
}

impl Sources<'_> {
    fn worker(&self, name: &WorkerName, id: Option<WorkerId>) -> WorkerNote {
        let registered = id.and_then(|id| self.roster.get(id));
        WorkerNote {
            name: name.to_string(),
            version: registered.and_then(|registered| registered.version.clone()),
            pause: self.pauses.of(name, id, self.date),
        }
    }

    fn job(&self, item: &Item, worker: Option<&WorkerName>) -> Option<QueuedJob> {
        Some(QueuedJob {
            ticket: item.ticket.get(),
            client: item.client.to_string(),
            cache_hint: item.label.clone(),
            urgent: item.urgent,
            waiting: between(self.tickets.queued_since(item.ticket)?, self.now),
            worker: worker.map(ToString::to_string),
        })
    }
}
