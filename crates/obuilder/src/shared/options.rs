//! How results are shared.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use oci::Platform;
use oci::fetch::{AddressRule, Repository, RepositoryError, RepositoryPlace, Settings};

use super::Shared;
use super::keys::{KeyError, SigningKey, accepted_keys};
use super::notes::Notes;
use super::outage::Outage;
use super::speed::Speed;
use super::stats::Counts;

/// How results are shared.
#[derive(Debug, Clone)]
pub struct SharedOptions {
    /// Where they are.
    pub place: RepositoryPlace,
    /// Whether they are fetched, uploaded, or both.
    pub mode: SharedMode,
    /// The file with the public keys whose results are used, besides this worker's own.
    pub accepted: Option<PathBuf>,
    /// The name of this worker, which others show.
    pub worker: String,
    /// The oldest that a result may be to be used. `None` for any age.
    pub max_age: Option<Duration>,
    /// Whether the results of steps with secrets are shared, too.
    pub with_secrets: bool,
}

/// What is done with shared results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SharedMode {
    /// They are fetched.
    Read,
    /// They are uploaded.
    Write,
    /// Both.
    #[default]
    ReadWrite,
}

/// Why results cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The repository cannot be opened.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The name of the worker is not a name.
    #[error("cannot share results under the name {0:?}: {1}")]
    Name(String, visible::NameError),
}

impl SharedMode {
    pub(super) fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

impl FromStr for SharedMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            "read-write" => Ok(Self::ReadWrite),
            _ => Err("read, write or read-write is expected".to_owned()),
        }
    }
}

impl std::fmt::Display for SharedMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read-write",
        })
    }
}

impl SharedOptions {
    /// Returns the file with the private key of a store with this state directory. It is made when results are first
    /// shared.
    pub fn key_file(state_dir: &Path) -> PathBuf {
        state_dir.join("shared.key")
    }

    /// Opens the shared results for the store with this state directory. A registry is contacted only when it is used.
    ///
    /// # Errors
    /// If a key or the directory of the results cannot be used.
    pub fn open(
        self,
        state_dir: &Path,
        env: Vec<(OsString, OsString)>,
        registries: AddressRule,
    ) -> Result<Shared, SharedError> {
        if let Err(error) = visible::check_name(&self.worker) {
            return Err(SharedError::Name(self.worker, error));
        }
        let key = SigningKey::open(&Self::key_file(state_dir))?;
        let mut accepted = match &self.accepted {
            Some(path) => accepted_keys(path)?,
            None => Vec::new(),
        };
        accepted.push(key.public());
        let mut settings = Settings::from_vars(state_dir, env);
        settings.registries = registries;
        let platform = Platform::here();
        let repository = Repository::open(&self.place, settings, self.mode.writes())?;
        let notes = Notes::of(state_dir);
        let max_age = self.max_age.map(|age| age.as_secs());
        Ok(Shared {
            repository,
            mode: self.mode,
            key,
            accepted,
            worker: self.worker,
            platform: format!("{}/{}", platform.os, platform.architecture),
            max_age: max_age.map(|age| i64::try_from(age).unwrap_or(i64::MAX)),
            with_secrets: self.with_secrets,
            scratch: state_dir.to_owned(),
            notes,
            counts: Counts::default(),
            speed: RefCell::new(Speed::default()),
            outage: Outage::default(),
            warned: RefCell::new(HashSet::new()),
        })
    }
}
