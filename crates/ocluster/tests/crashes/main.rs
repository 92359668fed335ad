//! Real programs that are killed while they work on durable jobs, and a checker that knows every job it was given.
//!
//! A round submits jobs to a scheduler with two workers, stops the scheduler, a worker or the client's program at
//! random moments or at a named point (`cli/src/logging/crash_point.rs`), or closes the client's connection. It starts
//! what was stopped again, and waits until every job has ended. Then it compares what is kept with what was seen and
//! shown. A round's number is the seed of all that it does; `cargo xtask crashes --rounds 1 --seed NUMBER` repeats it.

mod builds;
mod client;
mod client_plan;
mod client_program;
mod clock;
mod disks;
mod docker;
mod failover;
mod follow;
mod frozen;
mod incident;
mod job;
mod kept;
mod kill;
mod lane;
mod laptop;
mod lost_machine;
mod network;
mod plan;
mod points;
mod program;
mod random;
mod round;
mod scene;
mod script;
mod shown;
mod site;
mod sleep;
mod terminated;
mod user;

use crate::incident::{Incident, Incidents, show};
use crate::lane::rounds;
use crate::plan::Plan;
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
    let mut incidents = Incidents::new();
    let mut failures = Vec::new();
    for lane in lanes {
        match lane.join().expect("a lane reports what it finds") {
            Ok(of_lane) => of_lane
                .into_iter()
                .for_each(|(incident, count)| *incidents.entry(incident).or_default() += count),
            Err(failure) => failures.push(failure),
        }
    }
    println!("{}", show(&incidents));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    if count >= ROUNDS && cfg!(debug_assertions) {
        let missed = Incident::missed(&incidents);
        assert!(missed.is_empty(), "these have never happened: {missed:?}");
    }
}
