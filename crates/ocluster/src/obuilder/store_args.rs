//! The options about the store, and about running steps in it.

use std::ffi::OsString;
use std::rc::Rc;

use cgroup::{CpuLimit, Limits, MemoryLimit, PidLimit};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use obuilder::Setup;
use obuilder::builder::Builder;
use obuilder::sandbox::{Filter, Runtime, SandboxOptions, StepCapabilities, StepNetwork};
use obuilder::shared::SharedOptions;
use obuilder::store::{self, RsyncMode, Store, StorePlace, StoreSpec};
use oci::Library;
use oci::fetch::Listed;

use cli::config;
use cli::error::CommandError;

/// The options of every command that uses a store.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Store")]
pub(super) struct StoreArgs {
    /// OBuilder's store: overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
    #[arg(long, value_name = "KIND:PATH", value_parser = OsStringValueParser::new().try_map(StorePlace::try_from))]
    store: Option<StorePlace>,
    /// How an rsync store keeps results: copy, hardlink or hardlink_unsafe
    ///
    /// "copy" copies all files: the fastest, with the highest disk usage. "hardlink" shares files that have the same
    /// contents. "hardlink_unsafe" compares only size and time; it is for tests.
    #[arg(long, value_name = "MODE")]
    rsync_mode: Option<RsyncMode>,
    /// Registries to allow despite a private address: HOST, HOST:PORT or ADDRESS/BITS
    ///
    /// Registries with a public address are always allowed.
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    registries: Vec<Listed>,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// The options about running steps. Commands that run nothing accept them too, so that one set of options fits all.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Sandbox")]
struct SandboxArgs {
    /// Container runtime of steps: builtin, or a runc-compatible program (slower)
    #[arg(long, value_name = "NAME", default_value = Runtime::DEFAULT)]
    runtime: OsString,
    /// System calls allowed in steps: default, native, none, or a file
    ///
    /// "default" is the built-in profile. "native" also forbids the system calls of 32-bit programs. "none" disables
    /// the filter. A file is a profile in Docker's format.
    #[arg(long, value_name = "PROFILE", default_value = Filter::DEFAULT,
        value_parser = OsStringValueParser::new().try_map(|name| Filter::named(&name)))]
    seccomp: Filter,
    /// Capabilities of steps that run as root: default, docker or upstream
    ///
    /// "docker" allows the capabilities that Docker allows. "default" allows NET_RAW and NET_BIND_SERVICE only in steps
    /// without a network. "upstream" never allows these two.
    #[arg(long, value_name = "SET", default_value = "default")]
    sandbox_caps: StepCapabilities,
    /// Ignore fsync in steps
    #[arg(long)]
    fast_sync: bool,
    /// Network of steps with "(network host)": host, outbound or forbid
    ///
    /// "host" is the machine's network. "outbound" is a separate network that reaches only public IPv4 addresses; it
    /// needs slirp4netns. "forbid" refuses such steps.
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    step_network: StepNetwork,
    /// Memory limit of each step, such as 4GiB; processes that exceed it are killed
    #[arg(long, value_name = "SIZE")]
    job_memory: Option<MemoryLimit>,
    /// Limit of processes and threads of each step; starting more fails
    #[arg(long, value_name = "N")]
    job_pids: Option<PidLimit>,
    /// Limit of CPUs of each step, such as 2 or 1.5
    #[arg(long, value_name = "N")]
    job_cpus: Option<CpuLimit>,
}

/// What a store is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Running commands, so there must be a runtime.
    Commands,
    /// Reading or removing results.
    Results,
}

impl StoreArgs {
    /// Opens only the store, for reading, even while a worker uses it.
    pub(super) fn read_store(&self) -> Result<Rc<dyn Store>, CommandError> {
        let spec = self.spec()?;
        match store::open_for_reading(&spec).map_err(CommandError::caused)? {
            Some(store) => Ok(store),
            None => store::open(&spec).map_err(CommandError::caused),
        }
    }

    /// Opens only the store.
    pub(super) fn open_store(&self) -> Result<Rc<dyn Store>, CommandError> {
        store::open(&self.spec()?).map_err(CommandError::caused)
    }

    /// Opens the store, and what is needed to build in it.
    pub(super) fn open(&self, purpose: Purpose) -> Result<Builder, CommandError> {
        self.setup(purpose)?.open().map_err(CommandError::caused)
    }

    /// Opens the store, and what is needed to build in it with shared results.
    pub(super) fn open_sharing(
        &self,
        shared: Option<SharedOptions>,
    ) -> Result<Builder, CommandError> {
        let setup = self.setup(Purpose::Commands)?;
        let setup = Setup { shared, ..setup };
        setup.open().map_err(CommandError::caused)
    }

    /// Opens the store for reading results and running commands in copies of them, even while a worker uses it.
    pub(super) fn read(&self, purpose: Purpose) -> Result<Builder, CommandError> {
        let setup = self.setup(purpose)?;
        setup.open_for_reading().map_err(CommandError::caused)
    }

    fn setup(&self, purpose: Purpose) -> Result<Setup, CommandError> {
        let SandboxArgs {
            runtime,
            seccomp,
            sandbox_caps,
            fast_sync,
            step_network,
            job_memory,
            job_pids,
            job_cpus,
        } = &self.sandbox;
        let limits = Limits {
            memory: *job_memory,
            pids: *job_pids,
            cpus: *job_cpus,
        };
        let (runtime, limits) = match purpose {
            Purpose::Commands => (runtime.clone(), limits),
            // The one that is always available.
            Purpose::Results => (Runtime::BUILTIN.into(), Limits::default()),
        };
        Ok(Setup {
            store: self.spec()?,
            runtime,
            sandbox: SandboxOptions {
                fast_sync: *fast_sync,
                filter: seccomp.clone(),
                capabilities: *sandbox_caps,
                limits,
                network: match purpose {
                    Purpose::Commands => *step_network,
                    Purpose::Results => StepNetwork::Forbid,
                },
            },
            registries: self.registries.iter().cloned().collect(),
            env: config::environment_of_others(),
            shared: None,
        })
    }

    fn spec(&self) -> Result<StoreSpec, CommandError> {
        StoreSpec::new(self.store.clone(), self.rsync_mode).map_err(CommandError::usage)
    }
}

/// Returns the images that were imported into a store.
pub(super) fn library(store: &dyn Store) -> Library {
    // A reader has a state of its own.
    Library::new(&store.root().join("state"))
}
