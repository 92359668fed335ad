//! Opens a builder with all its parts, for programs.

use std::ffi::OsString;
use std::rc::Rc;

use oci::fetch::{AddressRule, BaseImages, Settings};

use crate::builder::{self, Builder, Parts};
use crate::sandbox::{OciSandbox, Runtime, SandboxError, SandboxOptions};
use crate::shared::{SharedError, SharedOptions};
use crate::store::{self, Store, StoreSpec};

/// The configuration of a builder.
#[derive(Clone)]
pub struct Setup {
    /// The store for results.
    pub store: StoreSpec,
    /// The runtime for containers: `builtin`, a path, or the name of a program in the PATH of `env`.
    pub runtime: OsString,
    /// Options for all steps.
    pub sandbox: SandboxOptions,
    /// Registries with a private address that may be contacted, besides all those on the internet.
    pub registries: AddressRule,
    /// The environment, with the paths of programs, the proxies and the credentials for registries.
    pub env: Vec<(OsString, OsString)>,
    /// The results that are shared with other workers. `None` to share none.
    pub shared: Option<SharedOptions>,
}

/// Why a builder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The sandbox cannot be opened.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Results cannot be shared.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// The builder cannot be opened.
    #[error(transparent)]
    Builder(#[from] builder::OpenError),
}

impl Setup {
    /// Opens the store, removes files that a killed process has left there, and returns a builder.
    ///
    /// # Errors
    /// If the store, the runtime or the database cannot be used.
    pub fn open(self) -> Result<Builder, SetupError> {
        let runtime = self.runtime()?;
        let store = store::open(&self.store)?;
        let shared = match self.shared.clone() {
            Some(options) => {
                let (env, registries) = (self.env.clone(), self.registries.clone());
                Some(options.open(store.state_dir(), env, registries)?)
            }
            None => None,
        };
        let builder = Builder::open(self.parts(store, runtime)?)?;
        if let Some(shared) = shared {
            tracing::info!("Results are shared, signed with {}", shared.public_key());
            builder.share(shared);
        }
        Ok(builder)
    }

    /// Opens the store for reading, even while another process has it if that is possible. The builder can read
    /// results, and run shells in copies of them.
    ///
    /// # Errors
    /// If the store, the runtime or the database cannot be used.
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
