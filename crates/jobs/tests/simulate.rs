//! Random histories of jobs: schedulers that crash, disks that fail, workers and clients that come and go. After each step
//! the promises are checked, and the invariants of the jobs. A failing history is made short.

#[path = "simulate/disk.rs"]
mod disk;
#[path = "simulate/history.rs"]
mod history;
#[path = "../../pool/tests/simulate/random.rs"]
mod random;
#[path = "simulate/worker.rs"]
mod worker;
#[path = "simulate/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use history::{Failure, Mistake, run, shorten};
use jobs::Fault;
use random::Random;

/// Makes up a history of so many steps and lives through it.
fn simulate(
    seed: u64,
    steps: usize,
    mistake: Option<Mistake>,
) -> Result<BTreeMap<&'static str, u32>, Failure> {
    let history = history::random(&mut Random::new(seed), steps);
    run(&history, mistake).map_err(|problem| shorten(history, problem, mistake))
}

/// Ten thousand histories, in which everything happens often.
#[test]
fn the_promises_hold() {
    let seeds: u64 =
        std::env::var("SEEDS").map_or(10_000, |seeds| seeds.parse().expect("a number"));
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..seeds {
        match simulate(seed, 150, None) {
            Ok(counts) => counts
                .into_iter()
                .for_each(|(what, times)| *seen.entry(what).or_default() += u64::from(times)),
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
        let times = seen.get(what).copied().unwrap_or_default();
        assert!(
            times >= seeds / 10,
            "only {times} times {what} in {seeds} histories: {seen:?}"
        );
    }
}

/// The table of the design page: which check finds which fault.
#[test]
fn planted_faults_are_found() {
    let faults = [
        Fault::StartsUnsaved,
        Fault::AcknowledgesUnsaved,
        Fault::AcknowledgesWithoutLog,
        Fault::ReusesNumbers,
        Fault::AdoptsAnything,
        Fault::LateEndsCount,
        Fault::ForgetsToRequeue,
        Fault::RetriesFailures,
        Fault::TriesForEver,
        Fault::NoGrace,
        Fault::ForgetsKeys,
    ];
    let mistakes = faults
        .map(Mistake::Inside)
        .into_iter()
        .chain([Mistake::SkipsCommits]);
    let mut found = String::new();
    for mistake in mistakes {
        let failure = (0..2_000).find_map(|seed| simulate(seed, 150, Some(mistake)).err());
        let failure = failure.unwrap_or_else(|| panic!("{mistake:?} was not found"));
        let check = failure.problem.split(':').next().unwrap_or_default();
        let steps = failure.steps.len();
        writeln!(found, "{mistake:?}: {check} ({steps} steps)").expect("a string takes all");
    }
    println!("{found}");
}
