//! The state of one worker, for people.

use cli::human::table;
use cli::quote::printable;
use visible::CompactElapsed;

use super::job_table::{job_row, job_table};
use super::queue;
use crate::admin::inactivity::in_words;
use crate::json::pools::{InactiveReason, Worker};

/// Returns what is known about one worker, one line each, and then its jobs.
pub(crate) fn details(worker: &Worker) -> String {
    let mut rows = Vec::new();
    let mut add = |what: &str, text: String| rows.push(vec![format!("  {what}"), text]);
    match (&worker.connection, worker.left_seconds) {
        (Some(there), _) => {
            let address = printable(&there.address);
            let connected = CompactElapsed::from_seconds(there.registered_seconds);
            add("connected", format!("for {connected}, from {address}"));
            add("takes jobs", takes_jobs(&there.inactive));
            for reason in &there.pause_reasons {
                add("problem", printable(&reason.problem));
                if !reason.advice.is_empty() {
                    add("what to do", printable(&reason.advice));
                }
            }
            add(
                "running",
                format!("{} of {}", there.running.len(), there.capacity),
            );
            add("in its queue", there.queued.to_string());
            add("finished", format!("{} since it connected", there.finished));
            // Any answer takes a moment.
            if there.silent_seconds >= 1.0 {
                add(
                    "silent",
                    format!("for {}", CompactElapsed::from_seconds(there.silent_seconds)),
                );
            }
        }
        (None, Some(ago)) => add(
            "connected",
            format!("no, it left {} ago", CompactElapsed::from_seconds(ago)),
        ),
        // For schedulers that report less.
        (None, None) if worker.connected => add("connected", "yes".to_owned()),
        (None, None) => add("connected", "no".to_owned()),
    }
    if let Some(explanation) = &worker.explanation {
        add("why no more", printable(&explanation.text));
    }
    if let Some(version) = &worker.version {
        add("version", printable(version));
    }
    if let Some(pause) = &worker.pause {
        add("paused", queue::described(pause));
    }
    if let Some(count) = worker.registrations.filter(|&count| count != 1) {
        add(
            "registered",
            format!("{count} times since the scheduler started"),
        );
    }
    let jobs = worker.connection.iter().flat_map(|there| &there.running);
    let jobs: Vec<Vec<String>> = jobs.map(|job| job_row("    ", job)).collect();
    table(&rows) + &job_table(&["    TICKET"], jobs)
}

fn takes_jobs(inactive: &[InactiveReason]) -> String {
    match inactive {
        [] => "yes".to_owned(),
        reasons => {
            let reasons: Vec<&str> = reasons.iter().copied().map(in_words).collect();
            format!("no: {}", reasons.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::testing::worker;
    use super::*;

    #[test]
    fn a_worker_has_a_line_for_each_thing_and_then_its_jobs() {
        let reasons = [InactiveReason::AdminPause, InactiveReason::WorkerPause];
        // The name stands for the line above, which is not indented.
        let named = |worker: &Worker| format!("w1\n{}", details(worker));
        expect![[r#"
            w1
              connected     for 3d04h, from 10.0.0.1:40000
              takes jobs    no: paused until unpaused, paused by itself
              problem       Docker does not answer�
              what to do    start it
              running       1 of 4
              in its queue  3
              finished      17 since it connected
              silent        for 1m35s
              version       0.1.0
              registered    2 times since the scheduler started
                TICKET  CLIENT  FOR    CACHE HINT
                7       alice   2m10s  long
        "#]]
        .assert_eq(&named(&worker("w1", &reasons, &["long"])));
        let left = Worker {
            connected: false,
            left_seconds: Some(61.0),
            connection: None,
            ..worker("w1", &[], &[])
        };
        expect![[r#"
            w1
              connected   no, it left 1m01s ago
              version     0.1.0
              registered  2 times since the scheduler started
        "#]]
        .assert_eq(&named(&left));
    }
}
