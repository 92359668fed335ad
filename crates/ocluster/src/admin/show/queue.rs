//! The sections below the state of a pool: its queued jobs, the pauses by operators, and the versions of its workers.

use std::collections::{BTreeMap, BTreeSet};

use cluster_json::explanation::JobExplanation;
use cluster_json::outcome;
use visible::{CompactElapsed, natural};

use crate::admin::workers::filled;
use crate::json::pools::{Pause, Queue, QueuedJob, Worker};
use cli::human::table;
use cli::quote::printable;

/// Returns the first queued jobs, and how many there are; nothing if there are none.
pub(super) fn jobs(queue: &Queue) -> String {
    let shown = queue.jobs.len();
    if shown == 0 {
        return String::new();
    }
    let is_explained = queue.jobs.iter().any(|job| job.explanation.is_some());
    let mut heading = vec!["  TICKET", "CLIENT", "WAITED", "WORKER"];
    if is_explained {
        heading.push("WHY");
    }
    heading.push("CACHE HINT");
    let mut rows = vec![heading.into_iter().map(str::to_owned).collect()];
    rows.extend(queue.jobs.iter().map(|job| row(job, is_explained)));
    let all = match queue.more {
        0 => format!("queued ({shown}, the next first):"),
        more => {
            let total = u64::from(more).saturating_add(u64::try_from(shown).unwrap_or(u64::MAX));
            format!("queued (the first {shown} of {total}; --all shows all):")
        }
    };
    format!("{all}\n{}{}", table(&rows), reasons(queue))
}

/// Returns the reasons of the queued jobs: of each kind, that of the first job.
fn reasons(queue: &Queue) -> String {
    let mut kinds = BTreeSet::new();
    let firsts = queue.jobs.iter().filter_map(|job| {
        let explanation = job.explanation.as_ref()?;
        kinds
            .insert(&explanation.kind)
            .then_some((job, explanation))
    });
    let lines = firsts.map(|(job, explanation)| {
        let text = printable(&explanation.text);
        format!("  {}: {text}{}\n", job.ticket, starts(explanation))
    });
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("why they wait (the first of each kind):\n{lines}"),
    }
}

/// Returns when a job is expected to start, if that is known.
fn starts(explanation: &JobExplanation) -> String {
    let Some(forecast) = &explanation.forecast else {
        return String::new();
    };
    let (from, to) = (
        forecast.earliest_start_seconds,
        forecast.latest_start_seconds,
    );
    format!("; expected to start in {}", outcome::range(from, to))
}

/// Returns the workers that take jobs and have room, but get none of those that wait, and why.
pub(super) fn without_work(workers: &[&Worker]) -> String {
    let rows = workers.iter().filter_map(|worker| {
        let explanation = worker.explanation.as_ref()?;
        let has_room = matches!(
            explanation.kind.as_str(),
            "cache-wait" | "not-asking" | "probing"
        );
        has_room.then(|| {
            let name = format!("  {}", printable(&worker.name));
            vec![name, printable(&explanation.text)]
        })
    });
    let rows: Vec<_> = rows.collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("have room for more jobs:\n{}", table(&rows)),
    }
}

fn row(job: &QueuedJob, is_explained: bool) -> Vec<String> {
    let hint = match job.cache_hint.as_str() {
        "" => "(no cache hint)".to_owned(),
        hint => printable(hint),
    };
    let urgent = if job.urgent { " (urgent)" } else { "" };
    let mut row = vec![
        format!("  {}", job.ticket),
        printable(&job.client),
        seconds(job.waiting_seconds),
        job.worker.as_deref().map_or("any".to_owned(), printable),
    ];
    if is_explained {
        let kind = job.explanation.as_ref().map(|why| printable(&why.kind));
        row.push(kind.unwrap_or_else(|| "-".to_owned()));
    }
    row.push(format!("{hint}{urgent}"));
    row
}

/// Returns who paused which workers, and why; nothing if no worker is paused by an operator.
pub(super) fn pauses(workers: &[&Worker]) -> String {
    let rows = workers.iter().filter_map(|worker| {
        let pause = worker.pause.as_ref()?;
        Some(vec![
            format!("  {}", printable(&worker.name)),
            described(pause),
        ])
    });
    let rows: Vec<_> = rows.collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("paused by operators:\n{}", table(&rows)),
    }
}

/// Returns who paused a worker, how long ago, and why.
pub(super) fn described(pause: &Pause) -> String {
    let by = match pause.by.as_str() {
        "" => String::new(),
        by => format!("by {} ", printable(by)),
    };
    let note = match pause.note.as_str() {
        "" => String::new(),
        note => format!(": {}", printable(note)),
    };
    format!("{by}for {}{note}", seconds(pause.lasting_seconds))
}

/// Returns the versions of the workers; nothing if none is known.
pub(super) fn versions(workers: &[&Worker]) -> String {
    let mut by_version: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for worker in workers {
        if let Some(version) = &worker.version {
            let names = by_version.entry(version).or_default();
            names.push(worker.name.clone());
        }
    }
    let mut versions: Vec<_> = by_version.into_iter().collect();
    versions.sort_by(|(a, _), (b, _)| natural(b, a));
    let lines = versions.into_iter().map(|(version, names)| {
        let prefix = format!("  {}: ", printable(version));
        filled(&prefix, ",", &names) + "\n"
    });
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("versions of workers:\n{lines}"),
    }
}

fn seconds(seconds: f64) -> String {
    CompactElapsed::from_seconds(seconds).to_string()
}

#[cfg(test)]
mod tests {
    use cluster_json::explanation::{JobForecast, WorkerExplanation};
    use expect_test::expect;

    use super::*;

    fn worker(name: &str, version: &str, note: Option<&str>) -> Worker {
        Worker {
            name: name.to_owned(),
            connected: true,
            paused: note.is_some(),
            registrations: None,
            left_seconds: None,
            version: Some(version.to_owned()),
            pause: note.map(|note| Pause {
                by: "alice@desk".to_owned(),
                note: note.to_owned(),
                lasting_seconds: 273_600.0,
            }),
            explanation: None,
            connection: None,
        }
    }

    #[test]
    fn of_many_jobs_the_first_are_shown() {
        let job = |ticket, worker: Option<&str>, hint: &str| QueuedJob {
            ticket,
            client: "alice".to_owned(),
            cache_hint: hint.to_owned(),
            urgent: hint.is_empty(),
            waiting_seconds: 302.0,
            worker: worker.map(str::to_owned),
            explanation: None,
            id: None,
        };
        let mut queue = Queue {
            backlog: 17_000,
            oldest_wait_seconds: 302.0,
            clients: Vec::new(),
            jobs: vec![job(7, None, ""), job(12, Some("w1"), "a\u{1b}[31mb")],
            more: 16_998,
        };
        expect![[r#"
            queued (the first 2 of 17000; --all shows all):
              TICKET  CLIENT  WAITED  WORKER  CACHE HINT
              7       alice   5m02s   any     (no cache hint) (urgent)
              12      alice   5m02s   w1      a�[31mb
        "#]]
        .assert_eq(&jobs(&queue));
        queue.jobs[0].explanation = Some(JobExplanation {
            kind: "busy".to_owned(),
            text: "next in line; all 2 workers of pool p are busy\u{1b}".to_owned(),
            urgent_ahead: 0,
            own_ahead: 0,
            forecast: Some(JobForecast {
                earliest_start_seconds: 130.0,
                latest_start_seconds: 290.0,
                earliest_end_seconds: 400.0,
                latest_end_seconds: 500.0,
            }),
        });
        expect![[r#"
            queued (the first 2 of 17000; --all shows all):
              TICKET  CLIENT  WAITED  WORKER  WHY   CACHE HINT
              7       alice   5m02s   any     busy  (no cache hint) (urgent)
              12      alice   5m02s   w1      -     a�[31mb
            why they wait (the first of each kind):
              7: next in line; all 2 workers of pool p are busy�; expected to start in 2–5 min
        "#]]
        .assert_eq(&jobs(&queue));
        queue.more = 0;
        assert!(jobs(&queue).starts_with("queued (2, the next first):\n"));
        queue.jobs.clear();
        assert_eq!(jobs(&queue), "");
    }

    #[test]
    fn pauses_and_versions_have_a_section_each() {
        let workers = [
            worker("w1", "0.9.0", None),
            worker("w2", "0.10.0", Some("new disk\u{7}")),
            worker("w10", "0.10.0", Some("")),
        ];
        let workers: Vec<&Worker> = workers.iter().collect();
        expect![[r#"
            paused by operators:
              w2   by alice@desk for 3d04h: new disk�
              w10  by alice@desk for 3d04h
            versions of workers:
              0.10.0: w2, w10
              0.9.0: w1
        "#]]
        .assert_eq(&(pauses(&workers) + &versions(&workers)));
        assert_eq!(pauses(&[]) + &versions(&[]), "");
    }
    #[test]
    fn a_worker_that_has_room_is_listed_with_the_reason() {
        let explained = |name: &str, kind: &str| Worker {
            explanation: Some(WorkerExplanation {
                kind: kind.to_owned(),
                text: format!("the text of {kind}"),
            }),
            ..worker(name, "0.9.0", None)
        };
        let workers = [
            explained("w1", "full"),
            explained("w2", "cache-wait"),
            explained("w3", "no-jobs"),
            explained("w10", "not-asking"),
            worker("w11", "0.9.0", None),
        ];
        let workers: Vec<&Worker> = workers.iter().collect();
        expect![[r#"
            have room for more jobs:
              w2   the text of cache-wait
              w10  the text of not-asking
        "#]]
        .assert_eq(&without_work(&workers));
        assert_eq!(without_work(&workers[..1]), "");
    }
}
