//! Which store is meant, and how commands run in it.

use std::ffi::{OsStr, OsString};
use std::rc::Rc;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use obuilder::builder::{Builder, Parts};
use obuilder::fetch::{BaseImages, Settings};
use obuilder::image::Library;
use obuilder::sandbox::{OciSandbox, Runtime};
use obuilder::store::{self, RsyncMode, Store, StorePlace, StoreSpec};

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
    /// Let commands think that what they wrote is on the disk
    #[arg(long)]
    fast_sync: bool,
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
    /// Opens the store alone.
    pub(super) fn open_store(&self) -> Result<Rc<dyn Store>, CommandError> {
        let spec =
            StoreSpec::new(self.store.clone(), self.rsync_mode).map_err(CommandError::usage)?;
        if !rustix::process::geteuid().is_root() {
            return Err(CommandError::failed(
                "a store needs root: its files belong to the users of containers",
            )
            .hint("run it with sudo"));
        }
        store::open(&spec).map_err(CommandError::caused)
    }

    /// Opens the store, and what is needed to build in it.
    pub(super) fn open(&self, need: Need) -> Result<Builder, CommandError> {
        let store = self.open_store()?;
        let runtime: &OsStr = match need {
            Need::Commands => &self.sandbox.runtime,
            // The one that is always there.
            Need::Results => OsStr::new(Runtime::BUILTIN),
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let runtime = Runtime::named(runtime, &path).map_err(CommandError::caused)?;
        let state_dir = store.state_dir().to_owned();
        let sandbox = OciSandbox::open(&state_dir, runtime, self.sandbox.fast_sync)
            .map_err(CommandError::caused)?;
        let settings = Settings::from_vars(&state_dir, std::env::vars_os());
        let parts = Parts {
            store,
            sandbox: Rc::new(sandbox),
            fetcher: Rc::new(BaseImages::new(settings)),
        };
        Builder::open(parts).map_err(CommandError::caused)
    }
}

/// Returns the images that were imported into a store.
pub(super) fn library(store: &dyn Store) -> Library {
    Library::new(store.state_dir())
}
