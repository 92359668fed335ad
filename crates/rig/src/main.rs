//! The processes that a `Holder` starts, and `rig up`: a Docker engine for experiments, until you press Ctrl-C.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use rig::{DockerEngine, Name, forward, hold, import_busybox, run_inside, run_offline};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rig: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match *words {
        ["up"] => up(&Name::new()?),
        ["up", name] => up(&name.parse()?),
        // The others are internal.
        ["hold", parent, name] => hold(Path::new(parent), &name.parse()?),
        ["inside", ..] => run_inside(args.get(1..).unwrap_or_default()),
        ["offline", ..] => run_offline(args.get(1..).unwrap_or_default()),
        ["forward", network, port] => forward(Path::new(network), port.parse()?),
        _ => bail!("usage: rig up"),
    }
}

/// Starts an engine with a base image, prints how to reach it, and keeps it until standard input ends.
fn up(name: &Name) -> Result<()> {
    let engine = DockerEngine::own_named(name)?;
    let image = import_busybox(&engine, "busybox")?;
    println!(
        "A Docker engine with the image {}, until end of input or Ctrl-C. To use it:",
        image.name()
    );
    for (name, value) in engine.env() {
        println!("export {name}={}", value.to_string_lossy());
    }
    let mut ignored = Vec::new();
    std::io::stdin().lock().read_to_end(&mut ignored)?;
    engine.finish()
}
