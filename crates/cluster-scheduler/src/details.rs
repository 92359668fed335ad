//! What an operator may want to know of a pool and its workers: as data, put together from those who know a part of it,
//! and as the lines that follow those of upstream when the pool is shown.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use cluster_api::{
    ClientDetails, ConnectedWorker, InactiveReason, PoolDetails, Presence, RunningJob,
    WorkerDetails,
};
use pool::{
    InactiveReasons, Items, RunningView, Snapshot, Time, WaitingView, WorkerName, WorkerView,
};
use visible::CompactElapsed;

use crate::roster::{RegisteredWorker, Roster};
use crate::tickets::Tickets;

/// Returns the details of the pool that `snapshot` was taken of just now.
pub(crate) fn of_pool(
    now: Time,
    snapshot: &Snapshot,
    roster: &Roster,
    tickets: &Tickets,
) -> PoolDetails {
    let backlog = match &snapshot.waiting {
        WaitingView::Backlog(items) => count(items),
        WaitingView::Ready(_) => 0,
    };
    let connected = snapshot.workers.iter().filter_map(|view| {
        let registered = roster.get(view.registration)?;
        let presence = Presence::Connected(connected(now, view, registered, tickets));
        Some(of_worker(roster, &view.name, view.paused, presence))
    });
    let away = snapshot.disconnected.iter().map(|view| {
        let left = roster.history(&view.name).and_then(|history| history.left);
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
        registrations: roster
            .history(name)
            .map_or(0, |history| history.registrations),
        presence,
    }
}

fn connected(
    now: Time,
    view: &WorkerView,
    registered: &RegisteredWorker,
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
        silent_for: registered
            .liveness
            .silent_since
            .map_or(Duration::ZERO, |since| between(since, now)),
        queued: count(&view.queue),
        workload: view.workload,
        finished: registered.finished,
        running: running.collect(),
        pause_reasons: if view.reasons.contains(pool::InactiveReason::WorkerPause) {
            registered.pause_reasons.clone()
        } else {
            Vec::new()
        },
    }
}

fn reasons(reasons: InactiveReasons) -> Vec<InactiveReason> {
    let convert = |reason| match reason {
        pool::InactiveReason::WorkerPause => InactiveReason::WorkerPause,
        pool::InactiveReason::AdminPause => InactiveReason::AdminPause,
        pool::InactiveReason::TemporaryPause => InactiveReason::TemporaryPause,
        pool::InactiveReason::ShuttingDown => InactiveReason::ShuttingDown,
        pool::InactiveReason::NotAnswering => InactiveReason::NotAnswering,
    };
    reasons.iter().map(convert).collect()
}

fn count(items: &Items) -> u32 {
    saturated(items.first.len() + items.more)
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns how long it was from `start` to `end`; nothing if that is backwards.
pub(crate) fn between(start: Time, end: Time) -> Duration {
    let micros = end.micros().saturating_sub(start.micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Returns which workers take no jobs, each with the reasons why, as metrics name them.
pub(crate) fn inactive(details: &PoolDetails) -> Vec<(String, String)> {
    let mut inactive = Vec::new();
    for WorkerDetails { name, presence, .. } in &details.workers {
        let Presence::Connected(worker) = presence else {
            continue;
        };
        for reason in &worker.inactive {
            let kind = match reason {
                InactiveReason::WorkerPause if !worker.pause_reasons.is_empty() => {
                    let kinds: BTreeSet<_> = worker.pause_reasons.iter().map(|r| &r.kind).collect();
                    inactive.extend(kinds.into_iter().map(|kind| (name.clone(), kind.clone())));
                    continue;
                }
                other => word(*other),
            };
            inactive.push((name.clone(), kind.to_owned()));
        }
    }
    // A page of metrics must not have the same line twice, whatever a worker calls its reasons.
    inactive.sort();
    inactive.dedup();
    inactive
}

/// Returns the word for a reason, in metrics and explanations.
pub(crate) fn word(reason: InactiveReason) -> &'static str {
    match reason {
        InactiveReason::WorkerPause => "worker-pause",
        InactiveReason::AdminPause => "admin-pause",
        InactiveReason::TemporaryPause => "temporary-pause",
        InactiveReason::ShuttingDown => "shutting-down",
        InactiveReason::NotAnswering => "not-answering",
        InactiveReason::Other => "other",
    }
}

/// The lines that follow those of upstream: the workers that do not answer, or nothing. Running jobs are printed by
/// `ocluster-admin` itself, which has them as data.
pub(crate) struct Text<'a>(pub(crate) &'a PoolDetails);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = "unresponsive (no jobs assigned):\n";
        for WorkerDetails { name, presence, .. } in &self.0.workers {
            if let Presence::Connected(worker) = presence
                && worker.inactive.contains(&InactiveReason::NotAnswering)
            {
                let age = CompactElapsed(worker.silent_for);
                writeln!(f, "{heading}  {name}: for {age}, at {}", worker.address)?;
                heading = "";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn silent(name: &str, seconds: u64, inactive: &[InactiveReason]) -> WorkerDetails {
        let worker = ConnectedWorker {
            registered_for: Duration::from_secs(seconds),
            address: "10.0.0.7:4711".to_owned(),
            capacity: 1,
            inactive: inactive.to_vec(),
            silent_for: Duration::from_secs(seconds),
            queued: 0,
            workload: Duration::ZERO,
            finished: 0,
            running: Vec::new(),
            pause_reasons: Vec::new(),
        };
        WorkerDetails {
            name: name.to_owned(),
            paused: false,
            registrations: 1,
            presence: Presence::Connected(worker),
        }
    }

    fn text(workers: Vec<WorkerDetails>) -> String {
        let details = PoolDetails {
            workers,
            backlog: 0,
            oldest_wait: Duration::ZERO,
            clients: Vec::new(),
        };
        Text(&details).to_string()
    }

    #[test]
    fn who_does_not_answer_and_for_how_long() {
        let stuck = [InactiveReason::AdminPause, InactiveReason::NotAnswering];
        let text = text(vec![
            silent("w1", 29, &[]),
            silent("w2", 59, &stuck),
            silent("w3", 61, &stuck),
            silent("w4", 7_260, &stuck),
            silent("w5", 90_000, &stuck),
        ]);
        expect![[r#"
            unresponsive (no jobs assigned):
              w2: for 59s, at 10.0.0.7:4711
              w3: for 1m01s, at 10.0.0.7:4711
              w4: for 2h01m, at 10.0.0.7:4711
              w5: for 1d01h, at 10.0.0.7:4711
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn nothing_is_added_when_all_answer() {
        assert_eq!(
            text(vec![silent("w1", 3, &[InactiveReason::AdminPause])]),
            ""
        );
    }
}
