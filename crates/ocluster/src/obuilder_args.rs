//! Options about OBuilder, which `ocluster-worker` and `ocluster dev` have in common.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use cluster_worker::{FreeThreshold, JobLimits, OBuilderConfig, Upkeep};
use obuilder::Setup;
use obuilder::sandbox::{Filter, Runtime, SandboxOptions, StepCapabilities, StepNetwork};
use obuilder::store::{RsyncMode, StorePlace, StoreSpec};
use oci::fetch::Listed;

use crate::config;
use crate::error::CommandError;
use crate::sizes;

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
    /// What runs OBuilder's steps: "builtin", or a program with the command line of runc, which is slower
    #[arg(long, value_name = "PROGRAM", default_value = Runtime::DEFAULT)]
    obuilder_runtime: OsString,
    /// System calls that OBuilder's steps may make: "default", "native" (the default without those of 32-bit programs), "none",
    /// or a file with a profile in Docker's format
    #[arg(long, value_name = "PROFILE", default_value = Filter::DEFAULT,
        value_parser = OsStringValueParser::new().try_map(|name| Filter::named(&name)))]
    obuilder_seccomp: Filter,
    /// Capabilities of OBuilder's steps that run as root: default (Docker's, but NET_RAW and NET_BIND_SERVICE only without a
    /// network), docker (all of Docker's), or upstream (never those two)
    #[arg(long, value_name = "SET", default_value = "default")]
    sandbox_caps: StepCapabilities,
    /// Registries with private addresses that base images may come from: HOST, HOST:PORT or ADDRESS/BITS. All those of the
    /// internet may be asked, and no others
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    obuilder_registries: Vec<Listed>,
    /// Network of OBuilder's steps that ask for the host's, as "(network host)" does: host, outbound (a network of their own that
    /// reaches public IPv4 addresses only; needs slirp4netns), or forbid
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    step_network: StepNetwork,
    /// Let OBuilder's steps go on without waiting for the disk
    #[arg(long)]
    fast_sync: bool,
    /// Prune OBuilder's results when less than this of their partition is free: in percent, or a size such as 20GiB
    #[arg(long, value_name = "PERCENT|SIZE", default_value = "30", value_parser = sizes::free_threshold)]
    obuilder_prune_threshold: FreeThreshold,
    /// Take no jobs when less than this is free for OBuilder's results and pruning cannot reach it
    #[arg(long, value_name = "SIZE", default_value = "5GiB", value_parser = sizes::disk_bytes)]
    obuilder_min_free: u64,
    /// How many of OBuilder's results to prune before looking again
    #[arg(long, value_name = "N", default_value = "100")]
    obuilder_prune_limit: usize,
    /// How often to check that OBuilder works, in seconds; 0 for only at the start
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    obuilder_healthcheck: Duration,
}

/// The longest time that can be asked for: a year, after which a clock can still be read.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a time in seconds.
pub(crate) fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().ok();
    let time = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{value:?} is not a number of seconds"))?;
    if time > LONGEST {
        return Err(format!(
            "{value} seconds are more than a year, which is {}",
            LONGEST.as_secs()
        ));
    }
    Ok(time)
}

impl OBuilderArgs {
    /// Returns how OBuilder specs are built, or `None` where they are not.
    pub(crate) fn config(
        self,
        job_limits: &JobLimits,
    ) -> Result<Option<OBuilderConfig>, CommandError> {
        let Some(place) = self.obuilder_store else {
            return Ok(None);
        };
        let store = StoreSpec::new(Some(place), self.rsync_mode).map_err(CommandError::usage)?;
        let healthcheck = Some(self.obuilder_healthcheck).filter(|every| !every.is_zero());
        Ok(Some(OBuilderConfig {
            setup: Setup {
                store,
                runtime: self.obuilder_runtime,
                sandbox: SandboxOptions {
                    fast_sync: self.fast_sync,
                    filter: self.obuilder_seccomp,
                    capabilities: self.sandbox_caps,
                    limits: job_limits.groups,
                    network: self.step_network,
                },
                registries: self.obuilder_registries.into_iter().collect(),
                env: config::environment_of_others(),
            },
            upkeep: Upkeep {
                prune_threshold: self.obuilder_prune_threshold,
                min_free: self.obuilder_min_free,
                prune_limit: self.obuilder_prune_limit,
                healthcheck,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_that_a_clock_can_wait_for() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["1e19", "31536001", "-1", "nan", "inf", "soon"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
