//! The verdicts on pools and workers.

use std::time::Duration;

use cluster_api::{
    ConnectedWorker, InactiveReason, PauseReason, PoolDetails, Presence, RunningJob, WorkerDetails,
    WorkerInfo,
};
use expect_test::expect;

use super::{pool, upstream};
use crate::doctor::testing::folded_text;
use cluster_json::findings::Commands;

fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

fn connected() -> ConnectedWorker {
    ConnectedWorker {
        registered_for: hours(30),
        address: "10.0.0.7:41414".to_owned(),
        capacity: 4,
        inactive: Vec::new(),
        silent_for: Duration::ZERO,
        queued: 0,
        workload: Duration::ZERO,
        finished: 12,
        running: Vec::new(),
        pause_reasons: Vec::new(),
    }
}

fn worker(name: &str, presence: Presence) -> WorkerDetails {
    WorkerDetails {
        name: name.to_owned(),
        paused: false,
        registrations: 1,
        presence,
    }
}

fn judged(workers: Vec<WorkerDetails>, backlog: u32, oldest_wait: Duration) -> String {
    let commands = Commands {
        cap: "admin.cap",
        pool: "linux",
    };
    let details = PoolDetails {
        workers,
        backlog,
        oldest_wait,
        clients: Vec::new(),
    };
    folded_text(&pool::judge(commands, &details))
}

/// Returns a worker in each state.
fn one_worker_of_each_state() -> Vec<WorkerDetails> {
    let because = |reason| {
        Presence::Connected(ConnectedWorker {
            inactive: vec![reason],
            silent_for: Duration::from_secs(75),
            ..connected()
        })
    };
    let job = |client: &str, running_for| RunningJob {
        ticket: 1,
        client: client.to_owned(),
        cache_hint: String::new(),
        urgent: false,
        running_for,
    };
    let busy = ConnectedWorker {
        running: vec![job("alice", hours(9)), job("bob", hours(1))],
        ..connected()
    };
    let full = Presence::Connected(ConnectedWorker {
        inactive: vec![InactiveReason::WorkerPause],
        pause_reasons: vec![
            PauseReason::new(
                "state-disk",
                "12 MiB are free for the state directory",
                "make room on its disk",
            ),
            PauseReason::new("obuilder-store", "Making room on the disk", ""),
        ],
        ..connected()
    });
    let fresh = ConnectedWorker {
        registered_for: Duration::from_secs(45),
        ..connected()
    };
    vec![
        worker("busy", Presence::Connected(busy)),
        WorkerDetails {
            registrations: 17,
            ..worker("flapping", Presence::Connected(fresh))
        },
        worker("frozen", because(InactiveReason::NotAnswering)),
        worker("full", full),
        worker("gone", Presence::Left(hours(50))),
        worker("mute", because(InactiveReason::WorkerPause)),
        worker("never", Presence::NeverSeen),
        worker("paused", because(InactiveReason::AdminPause)),
        worker("resting", because(InactiveReason::TemporaryPause)),
        worker("updating", because(InactiveReason::ShuttingDown)),
    ]
}

#[test]
fn each_state_of_a_worker_has_a_verdict() {
    let workers = one_worker_of_each_state();
    expect![[r#"
        warning  pool linux                2 of 10 workers take jobs; 2 of 32 slots are busy, 3 wait, the \
            oldest for 2h00m
                 -> add workers, or see which client submits so much: ocluster-admin show admin.cap linux
        warning  worker busy of linux      has been running a job of alice for 9h00m
                 -> if it is stuck, let its client cancel it, or restart the worker
        warning  worker flapping of linux  has registered 17 times, last 45s ago
                 -> see its log for why it reconnects: the network, or a supervisor that restarts it
        problem  worker frozen of linux    connected, but unresponsive for 1m15s
                 -> check the machine at 10.0.0.7:41414: it may be stopped, swapping, or out of disk space
        problem  worker full of linux      has paused itself: 12 MiB are free for the state directory
                 -> on the machine at 10.0.0.7:41414: make room on its disk
        warning  worker full of linux      has paused itself: Making room on the disk
                 -> wait: this ends by itself
        warning  worker gone of linux      left 2d02h ago
                 -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux gone
        warning  worker mute of linux      has paused itself, without a reason
                 -> see its log; on that machine: ocluster doctor (it connects from 10.0.0.7:41414)
        warning  worker never of linux     not seen since the scheduler started
                 -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux never
        warning  worker paused of linux    paused by an operator
                 -> ocluster-admin unpause admin.cap linux paused
        warning  worker resting of linux   paused by an operator until it reconnects
                 -> ocluster-admin unpause-worker admin.cap linux resting

        2 problems, 9 warnings.
    "#]]
    .assert_eq(&judged(workers, 3, hours(2)));
}

#[test]
fn a_pool_is_fit_when_a_worker_takes_its_jobs() {
    let fine = || vec![worker("w1", Presence::Connected(connected()))];
    let texts = [
        judged(fine(), 0, Duration::ZERO),
        judged(fine(), 7, Duration::from_secs(30)),
        judged(Vec::new(), 0, Duration::ZERO),
        judged(Vec::new(), 7, Duration::from_secs(30)),
        judged(vec![worker("w1", Presence::NeverSeen)], 7, Duration::ZERO),
    ];
    expect![[r#"
        ok       pool linux  1 of 1 workers take jobs; 0 of 4 slots are busy, 0 wait

        No problems found.

        ok       pool linux  1 of 1 workers take jobs; 0 of 4 slots are busy, 7 wait

        No problems found.

        warning  pool linux  no worker is connected, 0 wait
                 -> start a worker

        0 problems, 1 warning.

        problem  pool linux  no worker is connected, 7 wait, and no worker accepts jobs
                 -> start a worker

        1 problem, 0 warnings.

        problem  pool linux          no worker is connected, 7 wait, and no worker accepts jobs
                 -> start a worker
        warning  worker w1 of linux  not seen since the scheduler started
                 -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux w1

        1 problem, 1 warning.
    "#]]
    .assert_eq(&texts.join("\n"));
}

#[test]
fn jobs_of_workers_that_report_no_capacity_use_no_slot() {
    let job = || RunningJob {
        ticket: 1,
        client: "alice".to_owned(),
        cache_hint: String::new(),
        urgent: false,
        running_for: Duration::ZERO,
    };
    let with = |capacity, running| {
        Presence::Connected(ConnectedWorker {
            capacity,
            running,
            ..connected()
        })
    };
    let new = || worker("new", with(4, vec![job()]));
    let old = || worker("old", with(0, vec![job(), job()]));
    let texts = [
        judged(vec![new(), old()], 0, Duration::ZERO),
        judged(vec![old()], 0, Duration::ZERO),
    ];
    expect![[r#"
        ok       pool linux  2 of 2 workers take jobs; 1 of 4 slots are busy, 2 jobs run on workers that \
            report no capacity, 0 wait

        No problems found.

        ok       pool linux  1 of 1 workers take jobs; 2 jobs run on workers that report no capacity, 0 wait

        No problems found.
    "#]]
    .assert_eq(&texts.join("\n"));
}

#[test]
fn upstreams_scheduler_reports_less() {
    let commands = Commands {
        cap: "admin.cap",
        pool: "linux",
    };
    let worker = |name: &str, active, connected| WorkerInfo {
        name: name.to_owned(),
        active,
        connected,
    };
    let workers = [
        worker("w1", true, true),
        worker("w2", false, true),
        worker("w3", true, false),
    ];
    expect![[r#"
        ok       pool linux          1 of 3 workers take jobs (this scheduler reports no more)
        warning  worker w2 of linux  paused
                 -> ocluster-admin unpause admin.cap linux w2
        warning  worker w3 of linux  not connected
                 -> start it, or if it is gone for good: ocluster-admin forget admin.cap linux w3

        0 problems, 2 warnings.
    "#]]
    .assert_eq(&folded_text(&upstream::judge(commands, &workers)));
}
