//! A cluster as its scheduler reports it, with texts that would do harm to a terminal.

use std::time::Duration;

use cluster_api::{
    AttemptResult, DurableAttempt, DurableAttemptEnd, DurableDetails, DurableOutcome, DurableStage,
    DurableStatus, JobDetails, JobState, JobSummary, Label, ListedJob, Outcome,
};

use cluster_json::explanation::{JobExplanation, JobForecast};

use crate::admin::KnownJob;
use crate::admin::state::State;
use crate::json::pools::{
    Client, Connection, InactiveReason, Job, Pause, PauseReason, Queue, QueuedJob, Worker,
};
use crate::timeline::AttemptPhases;
use crate::top::report::{Jobs, Pool};

/// A name that clears the terminal, and turns the order of letters around.
pub(super) const HOSTILE: &str = "x\u{1b}[2J\u{7}\u{202e}evil";

/// Returns a pool that cannot be read, one at work, and one with jobs and no workers.
pub(super) fn pools() -> Vec<Pool> {
    let pool = |name: &str, state| Pool {
        name: name.to_owned(),
        state,
    };
    vec![
        pool("arm64", Err("PoolAdmin.workers: not now".to_owned())),
        pool("linux-x86_64", Ok(at_work())),
        pool(
            "windows",
            Ok(State {
                workers: Vec::new(),
                queue: Some(queue(1)),
                text: None,
            }),
        ),
    ]
}

/// Returns why the first job of a queue waits.
fn explanation() -> JobExplanation {
    let forecast = JobForecast {
        earliest_start_seconds: 120.0,
        latest_start_seconds: 300.0,
        earliest_end_seconds: 180.0,
        latest_end_seconds: 600.0,
    };
    JobExplanation {
        kind: "busy".to_owned(),
        text: "all workers are busy, and this job is next".to_owned(),
        urgent_ahead: 0,
        own_ahead: 0,
        forecast: Some(forecast),
    }
}

fn at_work() -> State {
    let paused = Worker {
        paused: true,
        pause: Some(Pause {
            by: "carol@desk".to_owned(),
            note: format!("new disk {HOSTILE}"),
            lasting_seconds: 600.0,
        }),
        ..worker("w2", vec![InactiveReason::AdminPause], 0)
    };
    let full = Worker {
        connection: Some(Connection {
            pause_reasons: vec![PauseReason {
                kind: "docker-disk".to_owned(),
                problem: "28 % of the disk is free, and 30 % are wanted".to_owned(),
                advice: String::new(),
            }],
            ..connection(vec![InactiveReason::WorkerPause], 0)
        }),
        ..worker("w3", Vec::new(), 0)
    };
    let away = Worker {
        connected: false,
        connection: None,
        left_seconds: Some(7200.0),
        ..worker("w10", Vec::new(), 0)
    };
    State {
        workers: vec![
            worker("w1", Vec::new(), 2),
            paused,
            full,
            worker(HOSTILE, Vec::new(), 0),
            away,
        ],
        queue: Some(queue(17_000)),
        text: None,
    }
}

fn worker(name: &str, inactive: Vec<InactiveReason>, running: u64) -> Worker {
    Worker {
        name: name.to_owned(),
        connected: true,
        paused: false,
        registrations: Some(1),
        version: Some("0.1.0".to_owned()),
        pause: None,
        left_seconds: None,
        explanation: None,
        connection: Some(connection(inactive, running)),
    }
}

fn connection(inactive: Vec<InactiveReason>, running: u64) -> Connection {
    let job = |ticket| Job {
        ticket,
        client: "alice".to_owned(),
        cache_hint: "project".to_owned(),
        urgent: false,
        running_seconds: 75.0,
    };
    Connection {
        registered_seconds: 90_000.0,
        address: "10.0.0.1:40000".to_owned(),
        capacity: 4,
        inactive,
        silent_seconds: 0.0,
        queued: 0,
        workload_seconds: 0.0,
        finished: 12,
        running: (17..17 + running).map(job).collect(),
        pause_reasons: Vec::new(),
    }
}

fn queue(all: u32) -> Queue {
    let job = |ticket: u64, client: &str, hint: &str, worker: Option<&str>| QueuedJob {
        ticket,
        client: client.to_owned(),
        cache_hint: hint.to_owned(),
        urgent: ticket == 41,
        id: (ticket == 41).then(|| "5k3m2z8t0abc".to_owned()),
        waiting_seconds: 302.0,
        worker: worker.map(str::to_owned),
        explanation: (ticket == 41).then(explanation),
    };
    let jobs = match all {
        1 => vec![job(7, "alice", "", None)],
        _ => vec![
            job(41, "alice", "project", None),
            job(42, "bob", HOSTILE, Some("w1")),
        ],
    };
    Queue {
        backlog: all,
        oldest_wait_seconds: 302.0,
        clients: vec![Client {
            id: "alice".to_owned(),
            rate: 2.0,
            queued: 1,
            urgent: u32::from(all > 1),
        }],
        more: all - u32::try_from(jobs.len()).unwrap(),
        jobs,
    }
}

/// Returns jobs in the history: of a pool, or of all.
pub(super) fn with_jobs(pool: Option<&str>) -> Jobs {
    let failed = ListedJob {
        summary: JobSummary {
            state: JobState::Failed,
            ..listed("0vd8f3k2m9xw", "bob").summary
        },
        ..listed("0vd8f3k2m9xw", "bob")
    };
    Jobs {
        pool: pool.map(str::to_owned),
        running: pool.map_or(Vec::new(), |_| vec![listed("28t5cy4tqkff", "alice")]),
        ended: vec![failed],
    }
}

/// Returns a running job in the history.
pub(super) fn listed(id: &str, client: &str) -> ListedJob {
    ListedJob {
        summary: JobSummary {
            id: id.to_owned(),
            pool: "linux-x86_64".to_owned(),
            kind: "docker".to_owned(),
            labels: vec![Label {
                name: "branch".to_owned(),
                value: format!("main{HOSTILE}"),
            }],
            state: JobState::Running,
            submitted_ago: Duration::from_secs(400),
            changed_ago: Duration::from_secs(75),
            attempts: 1,
            worker: Some("w1".to_owned()),
            attached: false,
        },
        client: client.to_owned(),
    }
}

/// Returns a job that has failed in its second attempt.
pub(super) fn failed_job() -> KnownJob {
    let attempt = |number, result| DurableAttempt {
        number,
        worker: "w1".to_owned(),
        started_ago: Duration::from_secs(300),
        log_length: 2000,
        end: Some(DurableAttemptEnd {
            after: Duration::from_secs(42),
            result,
            detail: String::new(),
        }),
    };
    let outcome = Outcome::Failed {
        detail: String::new(),
        exit_code: Some(2),
    };
    let details = JobDetails {
        job: DurableDetails {
            summary: JobSummary {
                state: JobState::Failed,
                attempts: 2,
                ..listed("28t5cy4tqkff", "alice").summary
            },
            status: DurableStatus {
                version: 9,
                stage: DurableStage::Ended {
                    attempt: 2,
                    outcome: DurableOutcome::Done(outcome),
                },
            },
            key: None,
            urgent: false,
            attempts: vec![
                attempt(1, AttemptResult::Lost),
                attempt(2, AttemptResult::Failed),
            ],
            retryable: true,
        },
        client: "alice".to_owned(),
        cache_hint: "project".to_owned(),
    };
    KnownJob {
        details,
        explanation: None,
        phases: AttemptPhases::new(),
    }
}
