//! The project's own commands: `cargo xtask demo`, `test`, `bench`, `fuzz`, `simulate`, `crashes`, `failovers`,
//! `deb`, `codegen`, `doc`, `screenshots`, `tidy`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod axe;
mod bench;
mod codegen;
mod crashes;
mod deb;
mod demo;
mod doc;
mod fuzz;
mod kubernetes;
mod project;
mod screenshots;
mod simulate;
mod suite;
mod tally;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo     Start a scheduler and workers, and show the logs of some builds
           (--programs FOLDER: use the programs in FOLDER instead of building them)
  test     Run all tests and checks, with a Docker engine, a registry and git servers
           (test ARGS: run only the tests that `cargo test ARGS` runs)
  bench    Compare OBuilder with Docker's two builders (takes ten minutes)
  fuzz     List the fuzz targets
           (fuzz TARGET --minutes N: fuzz one target; TARGET may be all)
  simulate Live through random histories of jobs: crashes, full disks, workers that come and go
           (simulate --seeds N: so many of them)
  crashes  Kill real programs while they work on jobs, and check that nothing is lost
           (crashes --rounds N --seed S: so many rounds, from round S on)
  failovers
           Kill, freeze and cut off leaders of a cluster, and its database, and check that nothing is lost
           (failovers --rounds N --seed S: so many rounds, from round S on; 100 take half an hour)
  deb      Make Debian packages of the programs, in target/debian
           (--for-tests FOLDER: make packages of the test builds, in FOLDER)
  codegen  Generate the Rust code for api/*.capnp
  doc      Write the documentation of all libraries; a warning is an error
  screenshots
           Make the book's pictures of pages again, in docs/images
  tidy     Check the house rules: dependencies, circles, lengths, words
           (tidy --update: remove exceptions that are no longer needed)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match *words {
        ["demo"] => project::build_programs().and_then(|programs| demo::run(&programs)),
        ["demo", "--programs", folder] => demo::run(Path::new(folder)),
        ["test"] => suite::run(),
        ["test", ref args @ ..] => suite::run_some(args),
        ["bench"] => bench::run(),
        ["fuzz", ref words @ ..] => fuzz::run(words),
        ["simulate", ref words @ ..] => simulate::run(words),
        ["crashes", ref words @ ..] => crashes::run(words),
        ["failovers", ref words @ ..] => crashes::run_failovers(words),
        ["deb"] => deb::run(),
        ["deb", "--for-tests", folder] => deb::run_for_tests(Path::new(folder)),
        ["codegen"] => codegen::run().map(|()| ExitCode::SUCCESS),
        ["doc"] => doc::run(),
        ["screenshots"] => screenshots::run(),
        ["tidy"] => tidy::run(&project::root()),
        ["tidy", "--update"] => tidy::update(&project::root()),
        _ => usage(&words),
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn usage(words: &[&str]) -> Result<ExitCode> {
    print!("{USAGE}");
    let asked = matches!(words, ["help" | "--help" | "-h"]);
    Ok(if asked {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
