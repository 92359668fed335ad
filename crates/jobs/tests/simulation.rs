//! Random histories of jobs, and the faults that they find.

mod simulate;

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
