//! Options about OBuilder, shared by `ocluster-worker` and `ocluster dev`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use cluster_worker::{FreeThreshold, JobLimits, OBuilderConfig, Upkeep};
use obuilder::Setup;
use obuilder::sandbox::{Filter, Runtime, SandboxOptions, StepCapabilities, StepNetwork};
use obuilder::shared::{SharedMode, SharedOptions};
use obuilder::store::{RsyncMode, StorePlace, StoreSpec};
use oci::fetch::{Listed, RepositoryPlace};

use super::free_threshold::free_threshold;
use cli::config;
use cli::error::CommandError;
use cli::quantities::{age, disk_bytes, seconds};

/// Options about OBuilder.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct OBuilderArgs {
    /// OBuilder's store: overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
    ///
    /// Without this option, OBuilder jobs are refused.
    #[arg(long, value_name = "KIND:PATH", value_parser = OsStringValueParser::new().try_map(StorePlace::try_from))]
    obuilder_store: Option<StorePlace>,
    /// How an rsync store keeps results: copy, hardlink or hardlink_unsafe
    ///
    /// "copy" copies all files: the fastest, with the highest disk usage. "hardlink" shares files that have the same
    /// contents. "hardlink_unsafe" compares only size and time; it is for tests.
    #[arg(long, value_name = "MODE", requires = "obuilder_store")]
    rsync_mode: Option<RsyncMode>,
    /// Container runtime of OBuilder steps: builtin, or a runc-compatible program (slower)
    #[arg(long, value_name = "PROGRAM", default_value = Runtime::DEFAULT)]
    obuilder_runtime: OsString,
    /// System calls allowed in OBuilder steps: default, native, none, or a file
    ///
    /// "default" is the built-in profile. "native" also forbids the system calls of 32-bit programs. "none" disables
    /// the filter. A file is a profile in Docker's format.
    #[arg(long, value_name = "PROFILE", default_value = Filter::DEFAULT,
        value_parser = OsStringValueParser::new().try_map(|name| Filter::named(&name)))]
    obuilder_seccomp: Filter,
    /// Capabilities of OBuilder steps that run as root: default, docker or upstream
    ///
    /// "docker" allows the capabilities that Docker allows. "default" allows NET_RAW and NET_BIND_SERVICE only in steps
    /// without a network. "upstream" never allows these two.
    #[arg(long, value_name = "SET", default_value = "default")]
    sandbox_caps: StepCapabilities,
    /// Registries to allow despite a private address: HOST, HOST:PORT or ADDRESS/BITS
    ///
    /// Registries with a public address are always allowed.
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    obuilder_registries: Vec<Listed>,
    /// Network of OBuilder steps with "(network host)": host, outbound or forbid
    ///
    /// "host" is the machine's network. "outbound" is a separate network that reaches only public IPv4 addresses; it
    /// needs slirp4netns. "forbid" refuses such steps.
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    step_network: StepNetwork,
    /// Ignore fsync in OBuilder steps
    #[arg(long)]
    fast_sync: bool,
    #[command(flatten)]
    shared: SharedArgs,
    /// Prune OBuilder's results below this much free disk space: percent, or a size such as 20GiB
    #[arg(long, value_name = "PERCENT|SIZE", default_value = "30", value_parser = free_threshold)]
    obuilder_prune_threshold: FreeThreshold,
    /// Take no jobs while OBuilder's store has less free space than this, even after pruning
    #[arg(long, value_name = "SIZE", default_value = "5GiB", value_parser = disk_bytes)]
    obuilder_min_free: u64,
    /// Number of OBuilder's results to prune per batch
    #[arg(long, value_name = "N", default_value = "100")]
    obuilder_prune_limit: usize,
    /// Interval of OBuilder's health checks, in seconds (0: only at startup)
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    obuilder_healthcheck: Duration,
}

/// Options about results that workers share.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SharedArgs {
    /// Share OBuilder's results with other workers: oci://REGISTRY/REPOSITORY or dir:/PATH
    ///
    /// A step that another worker has run is fetched rather than run, if that is expected to be faster. Results of
    /// steps with secrets are not shared.
    #[arg(long, value_name = "PLACE", value_parser = RepositoryPlace::parse, requires = "obuilder_store")]
    obuilder_cache: Option<RepositoryPlace>,
    /// Use of the shared results: read, write or read-write
    #[arg(long, value_name = "MODE", default_value_t)]
    obuilder_cache_mode: SharedMode,
    /// File with the public keys of the workers whose results to use, one per line
    ///
    /// A worker always uses its own results. "obuilder key" prints the key of a worker.
    #[arg(long, value_name = "FILE")]
    obuilder_cache_accept: Option<PathBuf>,
    /// Maximum age of shared results to use, such as 30d (0: any age)
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = age)]
    obuilder_cache_max_age: Duration,
    /// Share the results of steps with secrets, too
    #[arg(long)]
    obuilder_cache_secrets: bool,
}

impl SharedArgs {
    /// Returns how results are shared, under the name of this worker. `None` if they are not.
    fn options(self, worker: &str) -> Option<SharedOptions> {
        Some(SharedOptions {
            place: self.obuilder_cache?,
            mode: self.obuilder_cache_mode,
            accepted: self.obuilder_cache_accept,
            worker: worker.to_owned(),
            max_age: Some(self.obuilder_cache_max_age).filter(|age| !age.is_zero()),
            with_secrets: self.obuilder_cache_secrets,
        })
    }
}

impl OBuilderArgs {
    /// Returns how OBuilder specs are built, or `None` without a store.
    pub(crate) fn config(
        self,
        job_limits: &JobLimits,
        worker: &str,
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
                shared: self.shared.options(worker),
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
