//! Pools and workers.

use std::collections::BTreeMap;

use cluster_web::pages::{
    Cached, ClientRow, Command, DiskRow, Finding, Graph, PauseRow, Point, PoolPage, PoolRow,
    PoolsPage, QueuedRow, Range, Registration, RunningRow, Section, Waiting, WorkerCounts,
    WorkerPage, WorkerRow, WorkersPage,
};

use super::{lists, operator};

pub(super) fn pools() -> PoolsPage {
    PoolsPage {
        frame: operator(Section::Pools),
        findings: vec![
            Finding {
                pool: Some("linux-arm64".to_owned()),
                worker: None,
                is_problem: true,
                text: "12 jobs wait, and all 4 workers are paused.".to_owned(),
                advice: Some(
                    "Look at the notes of the pauses: ocluster-admin show linux-arm64".to_owned(),
                ),
            },
            Finding {
                pool: Some("linux-ppc64".to_owned()),
                worker: Some("ppc-2".to_owned()),
                is_problem: false,
                text: "has been running a job of ocaml-ci for 9h00m".to_owned(),
                advice: Some(
                    "if it is stuck, let its client cancel it, or restart the worker".to_owned(),
                ),
            },
        ]
        .into_iter()
        .chain((1..9).map(|index| Finding {
            pool: Some("linux-x86_64".to_owned()),
            worker: Some(format!("x86-bm-{index}")),
            is_problem: false,
            text: "left 2d02h ago".to_owned(),
            advice: Some(format!(
                "start it, or if it is gone for good: ocluster-admin forget admin.cap linux-x86_64 x86-bm-{index}"
            )),
        }))
        .collect(),
        pools: vec![
            row("linux-arm64", 0, 16, 12, [0, 4, 0, 1]),
            row("linux-ppc64", 7, 8, 0, [2, 0, 1, 0]),
            row("linux-x86_64", 61, 96, 214, [22, 2, 0, 3]),
            row("macos-arm64", 3, 4, 1, [4, 0, 0, 0]),
        ],
        failures: Some(lists::failures()),
    }
}

fn row(
    name: &str,
    running: u64,
    capacity: u64,
    queued: u64,
    [ready, paused, unresponsive, away]: [u32; 4],
) -> PoolRow {
    PoolRow {
        name: name.to_owned(),
        running,
        capacity,
        queued,
        urgent: queued / 40,
        oldest_wait_seconds: queued as f64 * 9.3,
        workers: WorkerCounts {
            ready,
            paused,
            unresponsive,
            away,
        },
        succeeded: u32::try_from(running * 5).unwrap_or_default(),
        failed: u32::try_from(running / 9).unwrap_or_default(),
        lost: u32::from(unresponsive > 0),
        median_wait_seconds: (running > 0).then_some(queued as f64 * 0.7),
    }
}

pub(super) fn labels(repo: &str, commit: &str, branch: &str) -> BTreeMap<String, String> {
    let labels = [("repo", repo), ("commit", commit), ("branch", branch)];
    labels
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

pub(super) fn pool() -> PoolPage {
    let queue = (0..12).map(|index: u32| QueuedRow {
        ticket: 9000 + u64::from(index),
        id: (index != 3).then(|| format!("28t5cy4tqk{index:02}")),
        client: Some(["ocaml-ci", "opam-repo-ci", "docker-base"][index as usize % 3].to_owned()),
        cache_hint: Some(format!("mirage/irmin-{}", index % 4)),
        labels: labels("mirage/irmin", "0f954903a1b2c3d4e5f60718293a4b5c6d7e8f90", "main"),
        urgent: index < 2,
        waiting_seconds: 340.0 - 21.0 * f64::from(index),
        worker: (index == 4).then(|| "x86-bm-3".to_owned()),
        ahead: Some(index),
        reason: Some(Waiting {
            text: match index {
                4 => "waits for x86-bm-3, which has its cache, at most 4 min more, because that saves time".to_owned(),
                7 => "its worker was lost; this is attempt 2 of 3; 7 jobs are ahead, 2 of them urgent".to_owned(),
                _ => format!("all 22 workers are busy; {index} jobs are ahead, 2 of them urgent"),
            },
            ahead: index,
            start: (index != 3).then(|| Range {
                from_seconds: 40.0 * f64::from(index),
                to_seconds: 90.0 * f64::from(index + 1),
            }),
            ..Waiting::default()
        }),
    });
    PoolPage {
        frame: operator(Section::Pools),
        pool: row("linux-x86_64", 61, 96, 214, [22, 2, 0, 3]),
        findings: Vec::new(),
        queue: queue.collect(),
        page: 1,
        pages: 5,
        running: running(9),
        clients: Some(
            (1..=4u32)
                .map(|index| ClientRow {
                    id: format!("client-{index}"),
                    rate: f64::from(index * 4),
                    queued: index * 13,
                    urgent: index % 2,
                    running: index * 5,
                    share: (index != 3).then_some(0.1 * f64::from(index)),
                })
                .collect(),
        ),
    }
}

pub(super) fn running(count: u32) -> Vec<RunningRow> {
    let rows = (0..count).map(|index| RunningRow {
        ticket: u64::from(index),
        id: Some(format!("9xk2m{index:02}pqrst")),
        worker: format!("x86-bm-{}", index + 1),
        client: Some("ocaml-ci".to_owned()),
        cache_hint: Some("ocaml/opam-repository".to_owned()),
        labels: labels(
            "ocaml/dune",
            "c0ffee03a1b2c3d4e5f60718293a4b5c6d7e8f90",
            "release-3.17",
        ),
        urgent: index == 1,
        running_seconds: 1400.0 / f64::from(index + 1),
        usual_seconds: (index != 2).then_some(410.0),
    });
    rows.collect()
}

pub(super) fn worker_row(index: u32) -> WorkerRow {
    let state = [
        "ready",
        "ready",
        "paused",
        "ready",
        "unresponsive",
        "ready",
        "away",
    ][index as usize % 7];
    let reason = match state {
        "paused" => {
            "paused by itself: the disk of Docker is 28 % free, and 30 % are wanted; it prunes"
        }
        "unresponsive" => "has not answered for 2 min 10 s; no jobs are assigned",
        "away" => "disconnected",
        _ => "",
    };
    let is_connected = state != "away";
    WorkerRow {
        name: format!("x86-bm-{}", index + 1),
        state: state.to_owned(),
        reason: reason.to_owned(),
        paused: false,
        running: if state == "ready" { index % 5 } else { 0 },
        capacity: is_connected.then_some(4),
        queued: index % 3,
        version: is_connected.then(|| "0.1.0".to_owned()),
        connected_seconds: is_connected.then_some(86_400.0 * 3.2),
        left_seconds: (!is_connected).then_some(5000.0),
        address: is_connected.then(|| format!("10.3.1.{}:48832", index + 10)),
        disks: vec![
            DiskRow {
                name: "docker".to_owned(),
                free: 0.28 + f64::from(index % 7) * 0.1,
            },
            DiskRow {
                name: "obuilder".to_owned(),
                free: 0.61,
            },
        ],
        last_job_seconds: Some(31.0 * f64::from(index % 9)),
        recent_failed: if index % 7 == 5 { 14 } else { index % 3 },
        recent: 20,
        ..WorkerRow::default()
    }
}

pub(super) fn workers(count: u32) -> WorkersPage {
    let workers: Vec<WorkerRow> = (0..count).map(worker_row).collect();
    let of = |state: &str| {
        workers
            .iter()
            .filter(|worker| worker.state == state)
            .count()
    };
    let of = |state: &str| u32::try_from(of(state)).unwrap_or_default();
    WorkersPage {
        frame: operator(Section::Pools),
        pool: "linux-x86_64".to_owned(),
        counts: WorkerCounts {
            ready: of("ready"),
            paused: of("paused"),
            unresponsive: of("unresponsive"),
            away: of("away"),
        },
        state: None,
        workers,
    }
}

fn points(kind: &str, base: f64, height: f64) -> Vec<Point> {
    // A worker that was away for a while has a gap.
    let steps = (0..288u32)
        .rev()
        .filter(|index| !(120..140).contains(index));
    steps
        .map(|index| Point {
            ago_seconds: f64::from(index) * 300.0,
            value: base + height * (f64::from(index) / 19.0).sin(),
            kind: kind.to_owned(),
            job: None,
        })
        .collect()
}

fn graphs() -> Vec<Graph> {
    let load = [points("processors", 0.8, 0.5), points("capacity", 0.5, 0.4)];
    let disks = [
        points("docker", 0.4, 0.1),
        points("obuilder", 0.6, 0.05),
        points("state", 0.9, 0.0),
    ];
    let graphs = [("Load", load.concat()), ("Free disk space", disks.concat())];
    graphs
        .map(|(title, points)| Graph::of_parts(title, points))
        .into()
}

pub(super) fn worker() -> WorkerPage {
    WorkerPage {
        frame: operator(Section::Pools),
        pool: "linux-x86_64".to_owned(),
        worker: WorkerRow {
            paused: true,
            state: "paused".to_owned(),
            reason: "no new jobs: paused by an operator".to_owned(),
            pause: Some(PauseRow {
                by: "anna@desk".to_owned(),
                note: "memory errors, see the ticket of the data centre".to_owned(),
                lasting_seconds: 7300.0,
            }),
            ..worker_row(1)
        },
        running: running(2),
        jobs: Some(lists::failures()),
        registrations: vec![
            Registration {
                began_seconds: 276_000.0,
                lasted_seconds: None,
                address: Some("10.3.1.11:48832".to_owned()),
                end: None,
            },
            Registration {
                began_seconds: 400_000.0,
                lasted_seconds: Some(123_000.0),
                address: Some("10.3.1.11:39100".to_owned()),
                end: Some("connection lost: timed out".to_owned()),
            },
        ],
        cached: Some(
            ["mirage/irmin", "ocaml/dune", "ocaml/opam-repository"]
                .map(|hint| Cached {
                    cache_hint: hint.to_owned(),
                    used_seconds: Some(600.0),
                })
                .into(),
        ),
        graphs: graphs(),
        commands: ["unpause", "drain", "forget"]
            .map(|command| Command {
                purpose: format!("To {command} it"),
                line: format!("ocluster-admin {command} linux-x86_64 x86-bm-2"),
            })
            .into(),
    }
}
