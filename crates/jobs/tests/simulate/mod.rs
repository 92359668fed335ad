//! Random histories of jobs: schedulers that crash, disks that fail, workers and clients that come and go. After each
//! step the promises are checked, and the invariants of the jobs. A failing history is made short.

mod counts;
pub(crate) mod disk;
mod history;
#[path = "../../../pool/tests/simulate/random.rs"]
pub(crate) mod random;
mod worker;
mod world;

pub(crate) use counts::Counts;
pub(crate) use history::{Failure, Mistake};
use history::{run, shorten};
use random::Random;

/// How many steps a history has, before all recovers.
const STEPS: usize = 150;

/// Makes up a history and lives through it. Returns how often each thing happened.
pub(crate) fn simulate(seed: u64, mistake: Option<Mistake>) -> Result<Counts, Failure> {
    let history = history::random(&mut Random::new(seed), STEPS);
    run(&history, mistake).map_err(|problem| shorten(history, problem, mistake))
}
