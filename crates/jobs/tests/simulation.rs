//! Random histories of jobs and of whole clusters, and the faults that they find.

mod cluster;
mod simulate;

use cluster::{ClusterFault, Setup, live};
use jobs::Fault;
use simulate::{Counts, Mistake, simulate};

/// Each takes some milliseconds; `cargo xtask simulate` lives through more.
const STANDBY_HISTORIES: u64 = 2_000;

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
        match live(seed, Setup::Alone, None) {
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
    let wrong = not_found_as(Setup::Alone, &faults);
    assert!(wrong.is_empty(), "{wrong}");
}

/// Histories of clusters with standbys, in which everything happens often.
#[test]
fn the_promises_hold_in_a_cluster_with_standbys() {
    let mut seen = Counts::default();
    for seed in 0..STANDBY_HISTORIES {
        match live(seed, Setup::Standbys, None) {
            Ok(counts) => seen.add(&counts),
            Err(problem) => panic!("seed {seed}: {problem}"),
        }
    }
    let expected = [
        "acknowledgement",
        "adoption",
        "cut off",
        "deposed",
        "doubt",
        "expired",
        "frozen",
        "handover",
        "log taken after the end",
        "new leader",
        "refused write",
        "sent again, and saved before",
    ];
    for what in expected {
        assert!(
            seen.of(what) >= 30,
            "only {} times {what}: {seen:?}",
            seen.of(what)
        );
    }
    // Most deposed leaders know it before they write.
    assert!(seen.of("refused for its number") >= 5, "{seen:?}");
}

/// The table of `docs/design/0028-leadership.md`: which check finds which fault.
#[test]
fn planted_faults_of_standbys_are_found() {
    let faults = [
        (ClusterFault::WritesUnfenced, "one leader writes"),
        (ClusterFault::TrustsItsClock, "one leader writes"),
        (ClusterFault::ReusesLeaseNumbers, "durable before reported"),
        (ClusterFault::WaitsForDatabaseClock, "another leads"),
        (ClusterFault::KeepsConnections, "accepted means kept"),
        (ClusterFault::KeepsLeaseUnreached, "another leads"),
        (ClusterFault::RestoresOldRows, "one outcome"),
        (ClusterFault::WritesTwice, "one outcome"),
        (ClusterFault::BelievesLatestAnswer, "one outcome"),
        (
            ClusterFault::ReportsUnsavedAtHandover,
            "durable before reported",
        ),
        (ClusterFault::AcknowledgesBeforeUpload, "the log stays"),
        (ClusterFault::ForgetsUnsharedLog, "the log stays"),
        (ClusterFault::ForgetsToUpload, "the log stays"),
    ];
    let wrong = not_found_as(Setup::Standbys, &faults);
    assert!(wrong.is_empty(), "{wrong}");
}

/// Returns which faults are not found, or found as a breach of another promise.
fn not_found_as(setup: Setup, faults: &[(ClusterFault, &str)]) -> String {
    let mut wrong = String::new();
    for (fault, promise) in faults.iter().copied() {
        let found = (0..2_000).find_map(|seed| Some((seed, live(seed, setup, Some(fault)).err()?)));
        match found {
            Some((_, problem)) if problem.starts_with(promise) => {}
            Some((seed, problem)) => {
                wrong += &format!("{fault:?} was found otherwise, by seed {seed}: {problem}\n");
            }
            None => wrong += &format!("{fault:?} was not found\n"),
        }
    }
    wrong
}
