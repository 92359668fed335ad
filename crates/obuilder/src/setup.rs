//! A builder with all its real parts, as programs want it.

use std::ffi::OsString;

use crate::builder::{self, Builder, Parts};
use crate::fetch::{BaseImages, Settings};
use crate::sandbox::{OciSandbox, Runtime, SandboxError, SandboxOptions};
use crate::store::{self, StoreSpec};

/// What a builder is to work with.
#[derive(Clone)]
pub struct Setup {
    /// Where results are kept.
    pub store: StoreSpec,
    /// What makes containers: `builtin`, a path, or the name of a program in the PATH of `env`.
    pub runtime: OsString,
    /// What holds for every step.
    pub sandbox: SandboxOptions,
    /// The environment that says where programs, proxies and the log-ins of registries are.
    pub env: Vec<(OsString, OsString)>,
}

/// Why there is no builder.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// Nothing can be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store can't be built in.
    #[error(transparent)]
    Builder(#[from] builder::OpenError),
}

impl Setup {
    /// Opens the store, cleans up what a killed process has left there, and returns a builder with it.
    pub fn open(self) -> Result<Builder, SetupError> {
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, path)| path.clone()).unwrap_or_default();
        let runtime = Runtime::named(&self.runtime, &path)?;
        let store = store::open(&self.store)?;
        let sandbox = OciSandbox::open(store.state_dir(), runtime, self.sandbox)?;
        let fetcher = BaseImages::new(Settings::from_vars(store.state_dir(), self.env));
        Ok(Builder::open(Parts {
            store,
            sandbox: std::rc::Rc::new(sandbox),
            fetcher: std::rc::Rc::new(fetcher),
        })?)
    }
}
