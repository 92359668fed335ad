//! Random histories: after each step everything that must hold is checked, from inside
//! (`Pool::check`) and from outside (`Story::pause`). A failing history is made short and printed
//! as a test to paste into `behaviour.rs`.

#[path = "simulate/fairness.rs"]
mod fairness;
#[path = "simulate/found.rs"]
mod found;
#[path = "simulate/history.rs"]
mod history;
#[path = "simulate/random.rs"]
mod random;
#[expect(dead_code, reason = "other suites use more of its words")]
mod story;

use expect_test::expect_file;
use history::{Bug, Failure, History};
use random::Random;

/// Makes up a history and runs it. Returns the pool's decisions, or the failure, made as short as
/// possible.
fn simulate(seed: u64, steps: usize, bug: Option<Bug>) -> Result<String, Failure> {
    let history = History::random(&mut Random::new(seed), steps);
    match history.run(bug) {
        Ok(decisions) => Ok(decisions),
        Err(problem) => Err(history.shorten(problem, bug)),
    }
}

fn simulate_all(seeds: std::ops::Range<u64>, steps: usize) -> String {
    let one = |seed| match simulate(seed, steps, None) {
        Ok(decisions) => decisions,
        Err(Failure { problem, history }) => panic!("seed {seed}: {problem}\n\n{history}"),
    };
    seeds.map(one).collect()
}

/// Many short ones, in which everything the pool can decide is decided often.
#[test]
fn random_histories() {
    let decisions = simulate_all(0..300, 250);
    for words in [
        "Registered new worker",
        "Release worker",
        "Activate queue",
        "Removed inactive reason",
        "is shutting down",
        "to the backlog",
        "back on to the main queue",
        "(the next free worker)",
        "(preferred)",
        "(waited too long)",
        "from its local queue",
        "from the main queue",
        "is waiting for more work",
        "Cancel ",
        "is asked",
        "not answering",
    ] {
        let times = decisions.matches(words).count();
        assert!(times >= 50, "only {times} times {words:?}");
    }
    // Some workers that leave or pause have several tickets to be reassigned.
    assert!(decisions.matches("(reassigning 3 items)").count() >= 5);
}

/// Fewer but longer ones, in which backlogs build up.
#[test]
fn long_histories() {
    simulate_all(1_000..1_010, 2_000);
}

/// The simulator finds a planted bug, and what it prints is a test: `found.rs` is compiled and run as
/// part of this suite.
#[test]
fn finds_a_planted_bug() {
    let failure = (0..100)
        .find_map(|seed| simulate(seed, 250, Some(Bug::ReleaseDropsQueue)).err())
        .expect("some history has a worker leave with tickets in its queue");
    let problem = failure.problem.lines().next().unwrap_or_default();
    assert!(problem.ends_with("is lost"), "{problem}");
    expect_file!["simulate/found.rs"].assert_eq(&format!(
        "//! What the simulator prints when it finds a bug; kept up to date by `finds_a_planted_bug`.\n\
         \n\
         use super::story::*;\n\
         \n\
         {}",
        failure.history
    ));
}
