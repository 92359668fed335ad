//! Options about OBuilder, which `ocluster-worker` and `ocluster dev` have in common.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use cluster_worker::{OBuilderConfig, Percent, Upkeep};
use obuilder::Setup;
use obuilder::store::{RsyncMode, StorePlace, StoreSpec};

use crate::config;
use crate::error::CommandError;

/// Options about OBuilder.
#[derive(clap::Args, Clone, Debug)]
pub struct OBuilderArgs {
    /// Where OBuilder keeps its results, as KIND:PATH with the kind overlayfs, btrfs, xfs, rsync or zfs. Without it, OBuilder
    /// jobs are refused
    #[arg(long, value_name = "KIND:PATH", value_parser = OsStringValueParser::new().try_map(StorePlace::try_from))]
    obuilder_store: Option<StorePlace>,
    /// How an rsync store keeps results: copy, hardlink or hardlink_unsafe
    #[arg(long, value_name = "MODE", requires = "obuilder_store")]
    rsync_mode: Option<RsyncMode>,
    /// What runs OBuilder's steps: a program like runc, or "builtin", which is quicker
    #[arg(long, value_name = "PROGRAM", default_value = "runc")]
    obuilder_runtime: OsString,
    /// Let OBuilder's steps go on without waiting for the disk
    #[arg(long)]
    fast_sync: bool,
    /// Prune OBuilder's results when less than this percentage of their partition is free
    #[arg(long, value_name = "PERCENT", default_value = "30")]
    obuilder_prune_threshold: Percent,
    /// How many of OBuilder's results to prune before looking again
    #[arg(long, value_name = "N", default_value = "100")]
    obuilder_prune_limit: usize,
    /// How often to check that OBuilder works, in seconds; 0 for only at the start
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    obuilder_healthcheck: Duration,
}

/// Parses a time in seconds.
pub(crate) fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{value:?} is not a number of seconds"))
}

impl OBuilderArgs {
    /// Returns how OBuilder specs are built, or `None` where they are not.
    pub(crate) fn config(self) -> Result<Option<OBuilderConfig>, CommandError> {
        let Some(place) = self.obuilder_store else {
            return Ok(None);
        };
        let store = StoreSpec::new(Some(place), self.rsync_mode).map_err(CommandError::usage)?;
        let healthcheck = Some(self.obuilder_healthcheck).filter(|every| !every.is_zero());
        Ok(Some(OBuilderConfig {
            setup: Setup {
                store,
                runtime: self.obuilder_runtime,
                fast_sync: self.fast_sync,
                env: config::environment_of_others(),
            },
            upkeep: Upkeep {
                prune_threshold: self.obuilder_prune_threshold,
                prune_limit: self.obuilder_prune_limit,
                healthcheck,
            },
        }))
    }
}
