//! A worker for the tests.

use crate::json::pools::{Connection, InactiveReason, Job, PauseReason, Worker};

/// Returns a connected worker that is inactive for these reasons, and runs a job for each hint.
pub(super) fn worker(name: &str, inactive: &[InactiveReason], hints: &[&str]) -> Worker {
    let jobs = (7..).zip(hints).map(|(ticket, hint)| Job {
        ticket,
        client: "alice".to_owned(),
        cache_hint: (*hint).to_owned(),
        urgent: hint.is_empty(),
        running_seconds: 130.0,
    });
    Worker {
        name: name.to_owned(),
        connected: true,
        paused: false,
        registrations: Some(2),
        left_seconds: None,
        version: Some("0.1.0".to_owned()),
        pause: None,
        explanation: None,
        connection: Some(Connection {
            registered_seconds: 273_600.0,
            address: "10.0.0.1:40000".to_owned(),
            capacity: 4,
            inactive: inactive.to_vec(),
            silent_seconds: 95.0,
            queued: 3,
            workload_seconds: 30.0,
            finished: 17,
            running: jobs.collect(),
            pause_reasons: if inactive.contains(&InactiveReason::WorkerPause) {
                vec![PauseReason {
                    kind: "docker".to_owned(),
                    problem: "Docker does not answer\u{1b}".to_owned(),
                    advice: "start it".to_owned(),
                }]
            } else {
                Vec::new()
            },
        }),
    }
}
