//! Lives through as many random histories as it is asked to, of jobs alone and of whole clusters:
//! `cargo xtask simulate --seeds 1000000`. With `--first NUMBER`, their seeds begin there, so that many can be lived
//! through in pieces.

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
    let (first, seeds) = match seeds() {
        Ok(seeds) => seeds,
        Err(problem) => {
            eprintln!("{problem}; usage: simulate --seeds NUMBER [--first NUMBER]");
            return ExitCode::from(124);
        }
    };
    let jobs = |seed| simulate(seed, None).map_err(|failure| failure.to_string());
    let clusters = |seed| cluster::live(seed, cluster::Setup::Alone, None);
    let standbys = |seed| cluster::live(seed, cluster::Setup::Standbys, None);
    let of_jobs = all((first, seeds), "jobs", jobs);
    let of_clusters = all((first, seeds), "clusters", clusters);
    let of_standbys = all((first, seeds), "clusters with standbys", standbys);
    match of_jobs.and(of_clusters).and(of_standbys) {
        Ok(()) => ExitCode::SUCCESS,
        Err(()) => ExitCode::FAILURE,
    }
}

/// Lives through these histories, and prints the result.
fn all(
    (first, seeds): (u64, u64),
    of: &str,
    live: impl Fn(u64) -> Result<Counts, String>,
) -> Result<(), ()> {
    let began = Instant::now();
    let mut seen = Counts::default();
    for seed in first..first.saturating_add(seeds) {
        match live(seed) {
            Ok(counts) => seen.add(&counts),
            Err(problem) => {
                println!("seed {seed} of {of}: {problem}");
                return Err(());
            }
        }
    }
    println!(
        "{seeds} histories of {of} from seed {first} on in {:.0} s, every promise kept: {seen:?}",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Returns the first seed, and how many there are.
fn seeds() -> Result<(u64, u64), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| {
        text.parse()
            .map_err(|_| format!("{text:?} is not a number"))
    };
    match args[..] {
        ["--seeds", seeds] => Ok((0, number(seeds)?)),
        ["--seeds", seeds, "--first", first] => Ok((number(first)?, number(seeds)?)),
        _ => Err("the number of histories is missing".to_owned()),
    }
}
