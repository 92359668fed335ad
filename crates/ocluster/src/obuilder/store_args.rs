//! Which store is meant, and how commands run in it.

use std::ffi::OsString;
use std::rc::Rc;

use cgroup::{CpuLimit, Limits, MemoryLimit, PidLimit};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use obuilder::Setup;
use obuilder::builder::Builder;
use obuilder::sandbox::{Filter, Runtime, SandboxOptions, StepCapabilities, StepNetwork};
use obuilder::store::{self, RsyncMode, Store, StorePlace, StoreSpec};
use oci::Library;
use oci::fetch::Listed;

use crate::config;
use crate::error::CommandError;

/// The options of every command that uses a store.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Store")]
pub(super) struct StoreArgs {
    /// Where results are kept: overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool
    #[arg(long, value_name = "KIND:PATH", value_parser = OsStringValueParser::new().try_map(StorePlace::try_from))]
    store: Option<StorePlace>,
    /// How an rsync store keeps results: copy, hardlink or hardlink_unsafe
    #[arg(long, value_name = "MODE")]
    rsync_mode: Option<RsyncMode>,
    /// Registries with private addresses that base images may come from: HOST, HOST:PORT or ADDRESS/BITS. All those of the
    /// internet may be asked, and no others
    #[arg(long, value_name = "HOST,...", value_delimiter = ',')]
    registries: Vec<Listed>,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// The options about how commands run. Commands that run nothing take them too, so that one set of options does for all.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Sandbox")]
struct SandboxArgs {
    /// What makes the containers: builtin, a program with the command line of runc, or a path to one
    #[arg(long, value_name = "NAME", default_value = Runtime::DEFAULT)]
    runtime: OsString,
    /// System calls that commands may make: default, native (the default without those of 32-bit programs), none, or a file
    /// with a profile in Docker's format
    #[arg(long, value_name = "PROFILE", default_value = Filter::DEFAULT,
        value_parser = OsStringValueParser::new().try_map(|name| Filter::named(&name)))]
    seccomp: Filter,
    /// Capabilities of commands that run as root: default (Docker's, but NET_RAW and NET_BIND_SERVICE only without a network),
    /// docker (all of Docker's), or upstream (never those two)
    #[arg(long, value_name = "SET", default_value = "default")]
    sandbox_caps: StepCapabilities,
    /// Let commands think that what they wrote is on the disk
    #[arg(long)]
    fast_sync: bool,
    /// Network of steps that ask for the host's, as "(network host)" does: host, outbound (a network of their own that reaches
    /// public IPv4 addresses only; needs slirp4netns), or forbid
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    step_network: StepNetwork,
    /// Memory of each step, such as 4GiB. What uses more is killed
    #[arg(long, value_name = "SIZE")]
    job_memory: Option<MemoryLimit>,
    /// Processes and threads of each step. No more are started
    #[arg(long, value_name = "N")]
    job_pids: Option<PidLimit>,
    /// Processors of each step, such as 2 or 1.5. What uses more waits
    #[arg(long, value_name = "N")]
    job_cpus: Option<CpuLimit>,
}

/// Whether commands are going to be run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// They are, so there must be a runtime.
    Commands,
    /// They are not.
    Results,
}

impl StoreArgs {
    /// Opens the store alone, for reading, also while a worker has it.
    pub(super) fn read_store(&self) -> Result<Rc<dyn Store>, CommandError> {
        let spec = self.spec()?;
        match store::open_for_reading(&spec).map_err(CommandError::caused)? {
            Some(store) => Ok(store),
            None => store::open(&spec).map_err(CommandError::caused),
        }
    }

    /// Opens the store alone.
    pub(super) fn open_store(&self) -> Result<Rc<dyn Store>, CommandError> {
        store::open(&self.spec()?).map_err(CommandError::caused)
    }

    /// Opens the store, and what is needed to build in it.
    pub(super) fn open(&self, need: Need) -> Result<Builder, CommandError> {
        self.setup(need)?.open().map_err(CommandError::caused)
    }

    /// Opens the store for looking at results, and for trying things in copies of them, also while a worker has it.
    pub(super) fn read(&self, need: Need) -> Result<Builder, CommandError> {
        let setup = self.setup(need)?;
        setup.open_for_reading().map_err(CommandError::caused)
    }

    fn setup(&self, need: Need) -> Result<Setup, CommandError> {
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
        let (runtime, limits) = match need {
            Need::Commands => (runtime.clone(), limits),
            // The one that is always there.
            Need::Results => (Runtime::BUILTIN.into(), Limits::default()),
        };
        Ok(Setup {
            store: self.spec()?,
            runtime,
            sandbox: SandboxOptions {
                fast_sync: *fast_sync,
                filter: seccomp.clone(),
                capabilities: *sandbox_caps,
                limits,
                network: match need {
                    Need::Commands => *step_network,
                    Need::Results => StepNetwork::Forbid,
                },
            },
            registries: self.registries.iter().cloned().collect(),
            env: config::environment_of_others(),
        })
    }

    fn spec(&self) -> Result<StoreSpec, CommandError> {
        let spec =
            StoreSpec::new(self.store.clone(), self.rsync_mode).map_err(CommandError::usage)?;
        if !rustix::process::geteuid().is_root() {
            return Err(CommandError::failed(
                "a store needs root: its files belong to the users of containers",
            )
            .hint("run it with sudo"));
        }
        Ok(spec)
    }
}

/// Returns the images that were imported into a store.
pub(super) fn library(store: &dyn Store) -> Library {
    // The state of one who only reads is its own.
    Library::new(&store.root().join("state"))
}
