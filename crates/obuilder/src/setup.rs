//! A builder with all its real parts, as programs want it.

use std::ffi::OsString;
use std::rc::Rc;

use oci::fetch::{AddressRule, BaseImages, Settings};

use crate::builder::{self, Builder, Parts};
use crate::sandbox::{OciSandbox, Runtime, SandboxError, SandboxOptions};
use crate::store::{self, Store, StoreSpec};

/// What a builder is to work with.
#[derive(Clone)]
pub struct Setup {
    /// Where results are kept.
    pub store: StoreSpec,
    /// What makes containers: `builtin`, a path, or the name of a program in the PATH of `env`.
    pub runtime: OsString,
    /// What holds for every step.
    pub sandbox: SandboxOptions,
    /// Which registries may be asked that have an address of their own network, besides all those of the internet.
    pub registries: AddressRule,
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
        let runtime = self.runtime()?;
        let store = store::open(&self.store)?;
        Ok(Builder::open(self.parts(store, runtime)?)?)
    }

    /// Opens the store for reading, also while another process has it, as far as that is possible. The builder can show results and
    /// try things in copies of them.
    pub fn open_for_reading(self) -> Result<Builder, SetupError> {
        let Some(store) = store::open_for_reading(&self.store)? else {
            return self.open();
        };
        let runtime = self.runtime()?;
        Ok(Builder::open_for_reading(self.parts(store, runtime)?)?)
    }

    fn runtime(&self) -> Result<Runtime, SandboxError> {
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, path)| path.clone()).unwrap_or_default();
        Runtime::named(&self.runtime, &path)
    }

    fn parts(self, store: Rc<dyn Store>, runtime: Runtime) -> Result<Parts, SandboxError> {
        let sandbox = OciSandbox::open(store.state_dir(), runtime, self.sandbox)?;
        let mut settings = Settings::from_vars(store.state_dir(), self.env);
        settings.registries = self.registries;
        let fetcher = BaseImages::new(settings);
        Ok(Parts {
            store,
            sandbox: Rc::new(sandbox),
            fetcher: Rc::new(fetcher),
        })
    }
}
