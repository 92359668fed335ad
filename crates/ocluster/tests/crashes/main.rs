//! Real programs that are killed while they work on durable jobs, and a checker that knows every job it was given.
//!
//! A round submits jobs to a scheduler with two workers, kills the scheduler, a worker or the client's connection at
//! random moments or at a named point (`cli/src/logging/crash_point.rs`), starts them again, and waits until every job
//! has ended. Then it compares what is kept with what was seen. A round's number is the seed of all that it does;
//! `cargo xtask crashes --rounds 1 --seed NUMBER` repeats it.

mod builds;
mod client;
mod disks;
mod follow;
mod frozen;
mod job;
mod kept;
mod lane;
mod network;
mod plan;
mod program;
mod random;
mod round;
mod scene;
mod site;

use std::collections::BTreeMap;

use crate::lane::rounds;
use crate::plan::{POINTS, Plan, Point};
use crate::scene::on_site;

/// How many rounds `cargo xtask test` makes.
const ROUNDS: u64 = 200;

/// How many clusters there are at once. They mostly wait.
const LANES: u64 = 10;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")),
        Err(_) => default,
    }
}

#[test]
fn nothing_is_lost_whatever_is_killed() {
    let count = number("CRASH_ROUNDS", ROUNDS);
    let first = number("CRASH_SEED", 1);
    let lanes = LANES.min(count);
    println!("rounds {first} to {}", first + count - 1);
    let lanes: Vec<_> = (0..lanes)
        .map(|lane| {
            let numbers = (first..first + count).skip(usize::try_from(lane).expect("small"));
            let numbers: Vec<u64> = numbers
                .step_by(usize::try_from(lanes).expect("small"))
                .collect();
            std::thread::spawn(move || {
                on_site(async |site| rounds(site, numbers.into_iter().map(Plan::of)).await)
            })
        })
        .collect();
    let mut reached = BTreeMap::<Point, u32>::new();
    let mut failures = Vec::new();
    for lane in lanes {
        match lane.join().expect("a lane reports what it finds") {
            Ok(of_lane) => of_lane
                .into_iter()
                .for_each(|point| *reached.entry(point).or_default() += 1),
            Err(failure) => failures.push(failure),
        }
    }
    println!("killed at: {reached:#?}");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    if count >= ROUNDS && cfg!(debug_assertions) {
        let missed: Vec<_> = POINTS
            .iter()
            .filter(|point| !reached.contains_key(*point))
            .collect();
        assert!(missed.is_empty(), "never killed at {missed:?}");
    }
}
