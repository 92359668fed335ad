//! Random histories of jobs and of whole clusters, and the faults that they find.

mod cluster;
mod simulate;

use cluster::{ClusterFault, live};
use jobs::Fault;
use simulate::{Counts, Mistake, simulate};

/// Ten thousand histories, in which everything happens often.
#[test]
fn the_promises_hold() {
    let mut seen = Counts::default();
    for seed in 0..10_000 {
        match simulate(seed, None) {
            Ok(counts) => seen.add(&counts),
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
    let expected = [
        "acknowledgement",
        "adoption",
        "cancel",
        "cancelled",
        "departure",
        "done",
        "loss",
        "lost",
        "missed worker",
        "refusal",
        "restart",
        "start",
        "stop",
        "supersession",
        "timeout",
        "unassignment",
    ];
    for what in expected {
        assert!(
            seen.of(what) >= 1_000,
            "only {} times {what}: {seen:?}",
            seen.of(what)
        );
    }
}

/// The table of `docs/design/0021-jobs-that-outlive-connections.md`: which check finds which fault.
#[test]
fn planted_faults_are_found() {
    let faults = [
        (Mistake::SkipsCommits, "durable before reported"),
        (
            Mistake::Inside(Fault::StartsUnsaved),
            "durable before reported",
        ),
        (Mistake::Inside(Fault::AcknowledgesUnsaved), "one outcome"),
        (
            Mistake::Inside(Fault::AcknowledgesWithoutLog),
            "the log stays",
        ),
        (Mistake::Inside(Fault::ReusesNumbers), "the log stays"),
        (Mistake::Inside(Fault::AdoptsAnything), "one outcome"),
        (Mistake::Inside(Fault::LateEndsCount), "one outcome"),
        (
            Mistake::Inside(Fault::ForgetsToRequeue),
            "accepted means kept",
        ),
        (Mistake::Inside(Fault::RetriesFailures), "bounded retries"),
        (Mistake::Inside(Fault::TriesForEver), "bounded retries"),
        (
            Mistake::Inside(Fault::NoReturnTimeout),
            "running jobs go on",
        ),
        (Mistake::Inside(Fault::ForgetsKeys), "same key, same job"),
    ];
    for (mistake, promise) in faults {
        let failure = (0..2_000).find_map(|seed| simulate(seed, Some(mistake)).err());
        let failure = failure.unwrap_or_else(|| panic!("{mistake:?} was not found"));
        assert!(
            failure.problem.starts_with(promise),
            "{mistake:?} was found otherwise: {failure}"
        );
    }
}

/// Ten thousand histories, in which everything happens often.
#[test]
fn the_promises_hold_in_a_cluster() {
    let mut seen = Counts::default();
    for seed in 0..10_000 {
        match live(seed, None) {
            Ok(counts) => seen.add(&counts),
            Err(problem) => panic!("seed {seed}: {problem}"),
        }
    }
    let expected = [
        "acknowledgement",
        "adoption",
        "cancel",
        "killed at a point",
        "loss",
        "refusal",
        "replaced connection",
        "run",
        "start of the scheduler",
        "stop",
        "unassignment",
    ];
    for what in expected {
        assert!(
            seen.of(what) >= 1_000,
            "only {} times {what}: {seen:?}",
            seen.of(what)
        );
    }
    assert!(seen.of("grace over") >= 200, "{seen:?}");
}

/// The second table of `docs/design/0021-jobs-that-outlive-connections.md`: which check finds which fault.
#[test]
fn planted_faults_of_a_cluster_are_found() {
    let faults = [
        (ClusterFault::ForgetsKey, "same key, same job"),
        (ClusterFault::RepeatsLog, "the log stays"),
        (ClusterFault::ReportsUnsynced, "durable before reported"),
        (ClusterFault::AppendsBlindly, "the log stays"),
        (ClusterFault::AcknowledgesUnsyncedLog, "the log stays"),
        (ClusterFault::BelievesOldConnection, "running jobs go on"),
        (ClusterFault::EndsBeforeLog, "the log stays"),
        (ClusterFault::CancelsOnDisconnect, "running jobs go on"),
        (ClusterFault::ForgetsOnEnd, "accepted means kept"),
        (ClusterFault::RunsAgain, "the log stays"),
    ];
    let mut wrong = String::new();
    for (fault, promise) in faults {
        let found = (0..2_000).find_map(|seed| Some((seed, live(seed, Some(fault)).err()?)));
        match found {
            Some((_, problem)) if problem.starts_with(promise) => {}
            Some((seed, problem)) => {
                wrong += &format!("{fault:?} was found otherwise, by seed {seed}: {problem}\n");
            }
            None => wrong += &format!("{fault:?} was not found\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
