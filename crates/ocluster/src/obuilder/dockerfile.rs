//! `obuilder dockerfile`: a spec as a Dockerfile.

use clap::ValueEnum;
use obuilder_spec::dockerfile::{Options, Style, dockerfile};

use super::spec_file::SpecArgs;
use cli::error::CommandError;

/// Print a spec as a Dockerfile
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    spec: SpecArgs,
    /// Write a Dockerfile for BuildKit, with cache mounts and secrets
    #[arg(long)]
    buildkit: bool,
    /// Line continuation: unix (a backslash) or windows (a backtick)
    #[arg(
        long,
        value_name = "STYLE",
        default_value = "unix",
        hide_possible_values = true
    )]
    escape: Escape,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Escape {
    Unix,
    Windows,
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let options = Options {
        buildkit: args.buildkit,
        style: match args.escape {
            Escape::Unix => Style::Unix,
            Escape::Windows => Style::Windows,
        },
    };
    let mut text = dockerfile(&args.spec.read()?, options).map_err(CommandError::caused)?;
    text.push(b'\n');
    cli::print::print_bytes(&text)
}
