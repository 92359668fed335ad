//! What an operator may want to know of a pool and its workers, as data, put together from those who know a part of it.

use std::time::Duration;

use cluster_api::{
    ClientDetails, ConnectedWorker, InactiveReason, PoolDetails, Presence, RunningJob,
    WorkerDetails,
};
use pool::{InactiveReasons, Items, MainView, RunningView, Snapshot, Time, WorkerName, WorkerView};

use crate::roster::{Registered, Roster};
use crate::tickets::Tickets;

/// Returns the details of the pool that `snapshot` was taken of just now.
pub(crate) fn of_pool(
    now: Time,
    snapshot: &Snapshot,
    roster: &Roster,
    tickets: &Tickets,
) -> PoolDetails {
    let backlog = match &snapshot.main {
        MainView::Backlog(items) => count(items),
        MainView::Ready(_) => 0,
    };
    let connected = snapshot.workers.iter().filter_map(|view| {
        let registered = roster.get(view.registration)?;
        let presence = Presence::Connected(connected(now, view, registered, tickets));
        Some(of_worker(roster, &view.name, view.paused, presence))
    });
    let away = snapshot.disconnected.iter().map(|view| {
        let left = roster.seen(&view.name).and_then(|seen| seen.left);
        let presence = left.map_or(Presence::NeverSeen, |left| {
            Presence::Left(between(left, now))
        });
        of_worker(roster, &view.name, view.paused, presence)
    });
    let mut workers: Vec<_> = connected.chain(away).collect();
    workers.sort_by(|a, b| a.name.cmp(&b.name));
    let clients = snapshot.clients.iter().map(|client| ClientDetails {
        id: client.id.to_string(),
        rate: client.rate.get(),
        queued: saturated(client.queued),
        urgent: saturated(client.urgent),
    });
    PoolDetails {
        workers,
        backlog,
        oldest_wait: tickets
            .oldest()
            .map_or(Duration::ZERO, |since| between(since, now)),
        clients: clients.collect(),
    }
}

fn of_worker(
    roster: &Roster,
    name: &WorkerName,
    paused: bool,
    presence: Presence,
) -> WorkerDetails {
    WorkerDetails {
        name: name.to_string(),
        paused,
        registrations: roster.seen(name).map_or(0, |seen| seen.registrations),
        presence,
    }
}

fn connected(
    now: Time,
    view: &WorkerView,
    registered: &Registered,
    tickets: &Tickets,
) -> ConnectedWorker {
    let running = view.running.iter().filter_map(|job: &RunningView| {
        let since = tickets.running(job.ticket)?.since;
        Some(RunningJob {
            ticket: job.ticket.get(),
            client: job.client.to_string(),
            cache_hint: job.hint.as_str().to_owned(),
            urgent: job.urgent,
            running_for: between(since, now),
        })
    });
    ConnectedWorker {
        registered_for: between(registered.since, now),
        address: registered.peer.address(),
        capacity: view.capacity,
        inactive: reasons(view.reasons),
        silent_for: Duration::ZERO,
        queued: count(&view.queue),
        workload: view.workload,
        finished: registered.finished,
        running: running.collect(),
    }
}

fn reasons(reasons: InactiveReasons) -> Vec<InactiveReason> {
    let told = |reason| match reason {
        pool::InactiveReason::WorkerPause => InactiveReason::WorkerPause,
        pool::InactiveReason::AdminPause => InactiveReason::AdminPause,
        pool::InactiveReason::TemporaryPause => InactiveReason::TemporaryPause,
        pool::InactiveReason::ShuttingDown => InactiveReason::ShuttingDown,
    };
    reasons.iter().map(told).collect()
}

fn count(items: &Items) -> u32 {
    saturated(items.first.len() + items.more)
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns how long it was from `start` to `end`; nothing if that is backwards.
fn between(start: Time, end: Time) -> Duration {
    let micros = end.micros().saturating_sub(start.micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
