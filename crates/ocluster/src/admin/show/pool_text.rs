//! The state of a pool, for people.

use cli::human::table;
use cli::quote::printable;
use visible::CompactElapsed;

use super::job_table::{job_row, job_table};
use super::{legend, queue};
use crate::json::pools::{InactiveReason, Pool, Worker};

/// Returns a pool's state, then what upstream's scheduler does not report, then the meaning of the short forms.
pub(super) fn text(pool: &Pool) -> String {
    let workers: Vec<&Worker> = pool.workers.iter().collect();
    let queue = pool.queue.as_ref();
    format!(
        "{}\n{}{}{}{}{}{}",
        pool.text,
        below(&pool.workers),
        queue.map(queue::jobs).unwrap_or_default(),
        queue::without_work(&workers),
        queue::pauses(&workers),
        queue::versions(&workers),
        queue
            .map(|queue| legend::text(&workers, queue))
            .unwrap_or_default()
    )
}

/// Returns the part of the scheduler's state that upstream's has too. [`below`] prints more than the rest of it.
pub(super) fn upstream_part(state: &str) -> &str {
    let ours = [
        "\nrunning:\n",
        "\nnot answering:\n",
        "\nnot answering (",
        "\nunresponsive (",
    ];
    let end = ours.iter().filter_map(|section| state.find(section)).min();
    state.get(..end.unwrap_or(state.len())).unwrap_or(state)
}

/// Returns the sections below those of upstream's scheduler, without empty ones: running jobs, workers that paused
/// themselves, and workers that do not answer.
fn below(workers: &[Worker]) -> String {
    let connected = || {
        let connected = workers.iter().map(|worker| (worker, &worker.connection));
        connected.filter_map(|(worker, there)| Some((printable(&worker.name), there.as_ref()?)))
    };
    let mut jobs = Vec::new();
    let mut silent = Vec::new();
    let mut paused = Vec::new();
    for (name, there) in connected() {
        for job in &there.running {
            let mut row = vec![format!("  {name}")];
            row.extend(job_row("", job));
            jobs.push(row);
        }
        for reason in &there.pause_reasons {
            let problem = printable(&reason.problem);
            paused.push(vec![format!("  {name}"), problem]);
            if !reason.advice.is_empty() {
                let advice = printable(&reason.advice);
                paused.push(vec![String::new(), format!("-> {advice}")]);
            }
        }
        if there.inactive.contains(&InactiveReason::NotAnswering) {
            let since = CompactElapsed::from_seconds(there.silent_seconds);
            let address = printable(&there.address);
            silent.push(vec![format!("  {name}"), format!("for {since}"), address]);
        }
    }
    let section = |title: &str, rows: String| match rows.is_empty() {
        true => rows,
        false => format!("{title}:\n{rows}"),
    };
    section("running", job_table(&["  WORKER", "TICKET"], jobs))
        + &section("paused by themselves", table(&paused))
        + &section("not answering", table(&silent))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::testing::worker;
    use super::*;

    #[test]
    fn what_upstream_does_not_report_is_below() {
        let workers = [
            worker("w1", &[], &["long", ""]),
            worker(
                "worker-2",
                &[InactiveReason::NotAnswering],
                &["a\u{1b}[31mb"],
            ),
            worker("w3", &[InactiveReason::WorkerPause], &[]),
        ];
        expect![[r#"
            running:
              WORKER    TICKET  CLIENT  FOR    CACHE HINT
              w1        7       alice   2m10s  long
              w1        8       alice   2m10s  (no cache hint) (urgent)
              worker-2  7       alice   2m10s  a�[31mb
            paused by themselves:
              w3  Docker does not answer�
                  -> start it
            not answering:
              worker-2  for 1m35s  10.0.0.1:40000
        "#]]
        .assert_eq(&below(&workers));
        assert_eq!(below(&[worker("w1", &[], &[])]), "");
    }

    #[test]
    fn sections_that_are_printed_below_are_left_out() {
        let upstream = "capacity: 1\nclients: alice(1)";
        for ours in [
            "",
            "\nrunning:\n  w1: alice:hint for 3s (ticket 1)\nnot answering:\n  w1: for 40s\n",
            "\nnot answering:\n  w1: for 40s\n",
        ] {
            assert_eq!(upstream_part(&format!("{upstream}{ours}")), upstream);
        }
    }
}
