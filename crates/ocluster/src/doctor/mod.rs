//! `ocluster doctor`: checks a machine as a worker, or a running cluster, and prints what to do.
//!
//! A check is a value: its subject, its outcome, what was found, and what to do. Each module here probes one thing with
//! a time limit, and judges the findings in a pure function, which the tests pin. Nothing on the machine is changed:
//! checks that need files get a temporary directory.

mod cap_files;
mod check;
mod cluster;
mod disk;
mod docker;
mod machine;
mod mounts;
mod obuilder;
mod probe;
mod schedulers;
#[cfg(test)]
mod testing;

use std::ffi::OsString;
use std::path::PathBuf;

use ::obuilder::sandbox::Runtime;
use ::obuilder::store::StorePlace;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use cluster_worker::FreeThreshold;

use self::check::Check;
use self::disk::SpaceLimits;
use crate::worker::free_threshold::free_threshold;
use cli::appearance;
use cli::capability_args::AlsoArgs;
use cli::error::CommandError;
use cli::output::{Format, OutputArgs};
use cli::print::print_bytes;
use cli::quantities::disk_bytes;

/// Check a machine or a running cluster, and print what to do
///
/// Checks whether this machine can run a worker with these cap files and this store. With --connect, checks a running
/// cluster instead. Changes nothing. The exit code is 1 if there is a problem.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Cap files to check; their schedulers are checked too
    #[arg(value_name = "CAP")]
    caps: Vec<PathBuf>,
    /// Check a running cluster instead, with its admin.cap
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["caps", "state_dir", "obuilder_store"])]
    connect: Option<PathBuf>,
    #[command(flatten)]
    also: AlsoArgs,
    /// State directory of the worker
    #[arg(long, value_name = "PATH", default_value = "/var/lib/ocluster-worker")]
    state_dir: PathBuf,
    /// OBuilder's store: overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
    #[arg(long, value_name = "KIND:PATH", value_parser = OsStringValueParser::new().try_map(StorePlace::try_from))]
    obuilder_store: Option<StorePlace>,
    /// Container runtime of OBuilder steps: builtin, or a runc-compatible program (slower)
    #[arg(long, value_name = "PROGRAM", default_value = Runtime::DEFAULT)]
    obuilder_runtime: OsString,
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The worker's limits of free space, in options of the same names.
#[derive(clap::Args, Debug)]
struct SpaceArgs {
    /// Value of the worker's --state-min-free
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = disk_bytes)]
    state_min_free: u64,
    /// Value of the worker's --prune-threshold
    #[arg(long, value_name = "PERCENT|SIZE", value_parser = free_threshold)]
    prune_threshold: Option<FreeThreshold>,
    /// Value of the worker's --obuilder-prune-threshold
    #[arg(long, value_name = "PERCENT|SIZE", default_value = "30", value_parser = free_threshold)]
    obuilder_prune_threshold: FreeThreshold,
    /// Value of the worker's --obuilder-min-free
    #[arg(long, value_name = "SIZE", default_value = "5GiB", value_parser = disk_bytes)]
    obuilder_min_free: u64,
}

impl SpaceArgs {
    fn state(&self) -> SpaceLimits {
        SpaceLimits {
            minimum: Some(("--state-min-free", self.state_min_free)),
            threshold: None,
        }
    }

    fn docker(&self) -> SpaceLimits {
        SpaceLimits {
            minimum: None,
            threshold: self
                .prune_threshold
                .map(|least| ("--prune-threshold", least)),
        }
    }

    fn obuilder(&self) -> SpaceLimits {
        SpaceLimits {
            minimum: Some(("--obuilder-min-free", self.obuilder_min_free)),
            threshold: Some(("--obuilder-prune-threshold", self.obuilder_prune_threshold)),
        }
    }
}

/// Runs all checks, prints them, and fails if there is a problem.
pub(crate) async fn run(args: Args) -> Result<(), CommandError> {
    let checks = match &args.connect {
        Some(cap) => cluster::checks(cap, &args.also).await,
        None => check_machine(&args).await,
    };
    let report = check::report(checks);
    match args.output.output {
        // It has colours, and all foreign text in it is escaped.
        Format::Text => {
            print_bytes(
                check::text(&report.checks, appearance::has_colour(&std::io::stdout())).as_bytes(),
            )?;
        }
        Format::Json => Format::Json.print(String::new, || &report)?,
    }
    if report.fit {
        Ok(())
    } else {
        Err(CommandError::already_reported())
    }
}

async fn check_machine(args: &Args) -> Vec<Check> {
    let store = args.obuilder_store.as_ref();
    let docker = async {
        let engine = docker::Engine::probe().await;
        let files = engine.files();
        let mut checks = docker::checks(&engine, store.is_some()).await;
        if let Some(files) = files {
            checks.push(disk::check("Docker's files", files, args.space.docker()).await);
        }
        checks
    };
    let caps = async {
        let checks = args
            .caps
            .iter()
            .map(|cap| cap_files::checks(cap, &args.also));
        futures::future::join_all(checks).await.concat()
    };
    let (docker, obuilder, state, machine, caps) = futures::join!(
        docker,
        obuilder::checks(store, &args.obuilder_runtime, args.space.obuilder()),
        disk::check(
            "state directory",
            args.state_dir.clone(),
            args.space.state()
        ),
        machine::checks(&args.obuilder_runtime),
        caps,
    );
    [docker, obuilder, vec![state], machine, caps].concat()
}
