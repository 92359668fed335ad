//! Lives through as many random histories of jobs as it is asked to: `cargo xtask simulate --seeds 1000000`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program"
)]

#[path = "../tests/simulate/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod simulate;

use std::process::ExitCode;
use std::time::Instant;

use simulate::{Counts, Failure, Mistake, simulate};

fn main() -> ExitCode {
    let seeds = match seeds() {
        Ok(seeds) => seeds,
        Err(problem) => {
            eprintln!("{problem}; usage: simulate --seeds NUMBER");
            return ExitCode::from(124);
        }
    };
    let began = Instant::now();
    let mut seen = Counts::default();
    for seed in 0..seeds {
        let lived: Result<Counts, Failure> = simulate(seed, None::<Mistake>);
        match lived {
            Ok(counts) => seen.add(&counts),
            Err(failure) => {
                println!("seed {seed}: {failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{seeds} histories in {:.0} s, every promise kept: {seen:?}",
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
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
