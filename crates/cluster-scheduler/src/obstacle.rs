//! Why no worker of a pool takes jobs, for clients whose jobs wait.

use cluster_api::{ConnectedWorker, InactiveReason, PoolDetails, Presence, WorkerDetails};
use visible::{CompactElapsed, Shown};

use crate::config::PoolName;

/// How many workers are named. A pool may have thousands.
const NAMED: usize = 5;

/// Returns why no worker of `pool` takes jobs, in a line; `None` if one does.
pub(crate) fn of(pool: &PoolName, details: &PoolDetails) -> Option<String> {
    let workers = &details.workers;
    if workers.is_empty() {
        return Some(format!("no worker has ever registered in pool {pool}"));
    }
    let connected: Vec<(&WorkerDetails, &ConnectedWorker)> = workers
        .iter()
        .filter_map(|worker| match &worker.presence {
            Presence::Connected(connected) => Some((worker, connected)),
            Presence::NeverSeen | Presence::Left(_) => None,
        })
        .collect();
    if connected.is_empty() {
        return Some(format!(
            "{} of pool {pool} {} connected",
            all(workers.len()),
            if workers.len() == 1 {
                "is not"
            } else {
                "are not"
            }
        ));
    }
    if connected
        .iter()
        .any(|(_, worker)| worker.inactive.is_empty())
    {
        return None;
    }
    let count = connected.len();
    let named: Vec<String> = connected
        .iter()
        .take(NAMED)
        .map(|(worker, connected)| format!("{}: {}", worker.name, why(connected)))
        .collect();
    let more = match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let are = if count == 1 { "is" } else { "are" };
    Some(format!(
        "{} of pool {pool} {are} paused: {}{more}",
        all(count),
        named.join("; ")
    ))
}

fn all(workers: usize) -> String {
    match workers {
        1 => "the only worker".to_owned(),
        count => format!("all {count} workers"),
    }
}

/// Returns why a connected worker takes no jobs.
fn why(worker: &ConnectedWorker) -> String {
    let reasons: Vec<String> = worker
        .inactive
        .iter()
        .map(|reason| match reason {
            InactiveReason::WorkerPause if worker.pause_reasons.is_empty() => {
                "paused by itself".to_owned()
            }
            InactiveReason::WorkerPause => {
                let problems = worker.pause_reasons.iter();
                let problems: Vec<String> = problems
                    .map(|reason| Shown(&reason.problem).to_string())
                    .collect();
                problems.join(", ")
            }
            InactiveReason::AdminPause => "paused by an operator".to_owned(),
            InactiveReason::TemporaryPause => {
                "paused by an operator until it reconnects".to_owned()
            }
            InactiveReason::ShuttingDown => "about to be updated".to_owned(),
            InactiveReason::NotAnswering => {
                format!("has not answered for {}", CompactElapsed(worker.silent_for))
            }
            InactiveReason::Other => "for another reason".to_owned(),
        })
        .collect();
    reasons.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cluster_api::PauseReason;

    use super::*;

    fn worker(name: &str, presence: Presence) -> WorkerDetails {
        WorkerDetails {
            name: name.to_owned(),
            paused: false,
            registrations: 1,
            presence,
        }
    }

    fn inactive(reasons: &[InactiveReason], problems: &[&str]) -> Presence {
        let pause_reasons = problems
            .iter()
            .map(|problem| PauseReason::new("docker", problem, "start it"));
        Presence::Connected(ConnectedWorker {
            registered_for: Duration::ZERO,
            address: String::new(),
            capacity: 1,
            inactive: reasons.to_vec(),
            silent_for: Duration::from_secs(75),
            queued: 0,
            workload: Duration::ZERO,
            finished: 0,
            running: Vec::new(),
            pause_reasons: pause_reasons.collect(),
        })
    }

    fn obstacle(workers: Vec<WorkerDetails>) -> Option<String> {
        let details = PoolDetails {
            workers,
            backlog: 1,
            oldest_wait: Duration::ZERO,
            clients: Vec::new(),
        };
        of(&"linux".parse().unwrap(), &details)
    }

    #[test]
    fn a_pool_gives_the_reason_why_no_worker_takes_jobs() {
        use InactiveReason::{AdminPause, NotAnswering, WorkerPause};
        let mute = || inactive(&[WorkerPause], &[]);
        let many = (0..7).map(|n| worker(&format!("w{n}"), mute()));
        let texts = [
            obstacle(Vec::new()),
            obstacle(vec![worker("w1", Presence::NeverSeen)]),
            obstacle(vec![
                worker("w1", Presence::NeverSeen),
                worker("w2", Presence::Left(Duration::ZERO)),
            ]),
            obstacle(vec![worker("w1", mute())]),
            obstacle(vec![
                worker(
                    "w1",
                    inactive(&[WorkerPause], &["Docker does not answer", "no\u{1b}"]),
                ),
                worker("w2", inactive(&[AdminPause, NotAnswering], &[])),
                worker("w3", Presence::NeverSeen),
            ]),
            obstacle(many.collect()),
        ];
        assert_eq!(
            texts.map(Option::unwrap),
            [
                "no worker has ever registered in pool linux",
                "the only worker of pool linux is not connected",
                "all 2 workers of pool linux are not connected",
                "the only worker of pool linux is paused: w1: paused by itself",
                "all 2 workers of pool linux are paused: w1: Docker does not answer, no\\u{1b}; w2: paused by an \
                 operator, has not answered for 1m15s",
                "all 7 workers of pool linux are paused: w0: paused by itself; w1: paused by itself; \
                 w2: paused by itself; w3: paused by itself; w4: paused by itself; and 2 more",
            ]
        );
    }

    #[test]
    fn one_worker_that_takes_jobs_is_enough() {
        let workers = vec![
            worker("w1", inactive(&[InactiveReason::AdminPause], &[])),
            worker("w2", inactive(&[], &[])),
        ];
        assert_eq!(obstacle(workers), None);
    }
}
