//! `cargo xtask fuzz`: looks for bytes from others that do harm, with LLVM's fuzzer.
//!
//! The targets are in `crates/fuzz`. The fuzzer is built with the stable compiler, instrumented, in a folder of its own
//! below `target`, where what it learns is kept for the next time.

mod found;
mod program;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::project;
use program::Program;

/// How long to fuzz one target, by default.
const MINUTES: u64 = 10;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    /// `all` is each in turn.
    target: &'a str,
    time: Duration,
    /// Whether to add the inputs that were found to the project's.
    keep: bool,
}

/// Runs the fuzzer as the words of a command line ask; lists the targets if there are none.
///
/// # Errors
/// When the words make no sense, or the fuzzer cannot be built or started.
pub(crate) fn run(words: &[&str]) -> Result<ExitCode> {
    let targets = targets()?;
    let Some(request) = read(words)? else {
        println!("The targets, for `cargo xtask fuzz TARGET` (or `all`):");
        targets.iter().for_each(|target| println!("  {target}"));
        return Ok(ExitCode::SUCCESS);
    };
    let chosen: Vec<String> = if request.target == "all" {
        targets
    } else if targets.iter().any(|target| target == request.target) {
        vec![request.target.to_owned()]
    } else {
        bail!(
            "there is no fuzz target {:?}; `cargo xtask fuzz` lists them",
            request.target
        );
    };
    let program = Program::build()?;
    let mut findings = Vec::new();
    for target in &chosen {
        println!("==> Fuzzing {target} for {} s", request.time.as_secs());
        let finding = program.fuzz(target, request.time)?;
        if request.keep {
            program.keep(target)?;
        }
        findings.extend(finding);
    }
    if findings.is_empty() {
        println!("\nNothing was found in: {}", chosen.join(", "));
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nFound:");
    for finding in &findings {
        println!("  {}", finding.display());
    }
    println!(
        "Each is tried by `cargo test -p fuzz` from now on: mend what it shows, and commit both."
    );
    Ok(ExitCode::FAILURE)
}

/// Returns what is asked for; `None` if nothing is.
fn read<'a>(words: &[&'a str]) -> Result<Option<Request<'a>>> {
    let (target, mut options) = match words {
        [] => return Ok(None),
        [target, options @ ..] => (*target, options.iter()),
    };
    let mut request = Request {
        target,
        time: Duration::from_secs(60 * MINUTES),
        keep: false,
    };
    while let Some(option) = options.next() {
        match *option {
            "--keep" => request.keep = true,
            "--minutes" => {
                let minutes: f64 = options
                    .next()
                    .and_then(|minutes| minutes.parse().ok())
                    .context("--minutes wants a number")?;
                request.time = Duration::try_from_secs_f64(60.0 * minutes)?;
            }
            other => bail!("unknown option {other:?}: there are --minutes N and --keep"),
        }
    }
    Ok(Some(request))
}

/// Returns the folder of the targets.
fn folder() -> PathBuf {
    project::root().join("crates/fuzz")
}

/// Returns the names of the targets: each has a folder of inputs to start from.
fn targets() -> Result<Vec<String>> {
    let seeds = folder().join("seeds");
    let mut names = Vec::new();
    for entry in fs::read_dir(&seeds).with_context(|| format!("cannot read {}", seeds.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_with_its_time_is_asked_for() {
        assert_eq!(read(&[]).unwrap(), None);
        let asked = read(&["layers", "--minutes", "0.5", "--keep"]).unwrap();
        let expected = Request {
            target: "layers",
            time: Duration::from_secs(30),
            keep: true,
        };
        assert_eq!(asked, Some(expected));
        for wrong in [
            &["layers", "--minutes"][..],
            &["a", "--minutes", "-1"],
            &["a", "b"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn there_are_targets() {
        assert!(targets().unwrap().contains(&"rpc-server".to_owned()));
    }
}
