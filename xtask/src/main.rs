//! The project's own commands: `cargo xtask demo`, `test`, `bench`, `fuzz`, `deb`, `codegen`, `tidy`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod bench;
mod codegen;
mod deb;
mod demo;
mod fuzz;
mod project;
mod suite;
mod tally;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo     Build something with a scheduler and a worker of your own, and watch
           (--programs FOLDER: with programs that have been built before)
  test     Run every test, with a real Docker engine, registry and git servers
           (test ARGS: those that `cargo test ARGS` would run, and nothing else)
  bench    Measure OBuilder beside Docker's two builders (takes ten minutes)
  fuzz     List what can be fuzzed
           (fuzz TARGET --minutes N: look for input that does harm; TARGET may be all)
  deb      Make Debian packages of the programs, in target/debian
           (--for-tests FOLDER: of the programs that the tests use, in that folder)
  codegen  Generate the Rust code for api/*.capnp
  tidy     Check the house rules: who may use whom, circles, lengths, words
           (tidy --update: list what breaks a rule today as its exceptions)
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
        ["deb"] => deb::run(),
        ["deb", "--for-tests", folder] => deb::run_for_tests(Path::new(folder)),
        ["codegen"] => codegen::run().map(|()| ExitCode::SUCCESS),
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
