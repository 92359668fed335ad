//! Lives through as many random histories as it is asked to, of jobs alone and of whole clusters:
//! `cargo xtask simulate --seeds 1000000`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program"
)]

#[path = "../tests/cluster/mod.rs"]
mod cluster;
#[path = "../tests/simulate/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod simulate;

use std::process::ExitCode;
use std::time::Instant;

use simulate::{Counts, simulate};

fn main() -> ExitCode {
    let seeds = match seeds() {
        Ok(seeds) => seeds,
        Err(problem) => {
            eprintln!("{problem}; usage: simulate --seeds NUMBER");
            return ExitCode::from(124);
        }
    };
    let jobs = |seed| simulate(seed, None).map_err(|failure| failure.to_string());
    let clusters = |seed| cluster::live(seed, None);
    match (all(seeds, "jobs", jobs), all(seeds, "clusters", clusters)) {
        (Ok(()), Ok(())) => ExitCode::SUCCESS,
        (Err(()), _) | (_, Err(())) => ExitCode::FAILURE,
    }
}

/// Lives through these histories, and prints the result.
fn all(seeds: u64, of: &str, live: impl Fn(u64) -> Result<Counts, String>) -> Result<(), ()> {
    let began = Instant::now();
    let mut seen = Counts::default();
    for seed in 0..seeds {
        match live(seed) {
            Ok(counts) => seen.add(&counts),
            Err(problem) => {
                println!("seed {seed} of {of}: {problem}");
                return Err(());
            }
        }
    }
    println!(
        "{seeds} histories of {of} in {:.0} s, every promise kept: {seen:?}",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn seeds() -> Result<u64, String> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next(), args.next()) {
        (Some("--seeds"), Some(seeds), None) => seeds
            .parse()
            .map_err(|_| format!("{seeds:?} is not a number")),
        _ => Err("one option is needed".to_owned()),
    }
}
