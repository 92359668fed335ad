//! The configuration of a scheduler.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cluster_web::WebSettings;
use pool::ClientId;
use vat::{Address, ServeOptions};
use visible::{Name, NameError};

use crate::job_settings::JobSettings;
use crate::limits::Limits;
use crate::log_store_settings::LogStoreSettings;

/// How to run a scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Holds the logs of jobs, and the databases unless they are elsewhere; created if missing.
    pub state_dir: PathBuf,
    /// Where the state is kept that must outlive the process.
    pub store: StoreSettings,
    /// Whether an earlier process with the same id has led, and stopped: then a database that cannot be reached is
    /// waited for.
    pub has_led: bool,
    /// Where cap files are written; must exist.
    pub secrets_dir: PathBuf,
    /// The vat's key. All derived service ids come from it, so it must stay the same for cap files
    /// to stay valid.
    pub key: KeySource,
    /// Where to listen.
    pub listen: Address,
    /// The address that is written into cap files; `None` for the one that is listened on.
    pub public: Option<Address>,
    /// Whether connections are encrypted and authenticated.
    pub transport: Transport,
    /// The pools to offer.
    pub pools: BTreeSet<PoolName>,
    /// Clients that are created at the start, with a cap file each, unless that file is there already.
    pub default_clients: Vec<FileName>,
    /// The address of the unauthenticated HTTP endpoint for metrics; `None` for no endpoint.
    pub metrics: Option<SocketAddr>,
    /// How long a worker may take to reconnect after an update, before the update counts as failed.
    pub update_timeout: Duration,
    /// Limits on what clients and workers may use.
    pub limits: Limits,
    /// How durable jobs are kept.
    pub jobs: JobSettings,
    /// Where logs are kept beside the disk; `None` for nowhere.
    pub log_store: Option<LogStoreSettings>,
    /// How peers are treated, and how much they may use.
    pub connections: ServeOptions,
    /// The pages for browsers; `None` for none.
    pub web: Option<WebSettings>,
}

/// The default of [`SchedulerConfig::update_timeout`], as upstream.
pub const DEFAULT_UPDATE_TIMEOUT: Duration = Duration::from_secs(600);

/// Where the state is kept that must outlive the process.
#[derive(Clone, Debug, Default)]
pub enum StoreSettings {
    /// In SQLite files in the state directory.
    #[default]
    Files,
    /// In a PostgreSQL database.
    Postgres(cluster_postgres::Settings),
}

/// Where the vat's key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A PEM file, which is made when it does not exist.
    File(PathBuf),
    /// A new key at every start, which makes all earlier cap files invalid.
    Ephemeral,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS, both sides known by their keys.
    Tls,
    /// Unencrypted: anybody on the network path can read secrets and use them.
    Plaintext,
}

/// The name of a pool or a default client: a [`Name`] that can be part of a cap file's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Name);

/// The name of a pool.
pub type PoolName = FileName;

/// Why a text cannot be a [`FileName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// It cannot be a name at all.
    #[error("cannot use {name:?} as a name: the {reason}")]
    BadName {
        /// The text.
        name: String,
        /// What is wrong with it.
        #[source]
        reason: NameError,
    },
    /// It contains a slash, which separates directories.
    #[error("the name {0:?} may not contain \"/\", as it is used in a file name; choose another")]
    Slash(String),
    /// It is longer than [`FileName::MAX_BYTES`].
    #[error("the name {0:?} is longer than {max} bytes; choose a shorter one", max = FileName::MAX_BYTES)]
    TooLong(String),
}

impl FileName {
    /// What fits into the 255 bytes of a file's name with `submit-`, `.cap` and a temporary suffix around it.
    pub const MAX_BYTES: usize = 200;

    /// Returns `name` as a name.
    ///
    /// # Errors
    ///
    /// [`FileNameError`] if it is no [`Name`], or a file's name cannot contain it.
    pub fn new(name: impl Into<String>) -> Result<Self, FileNameError> {
        let name = name.into();
        if name.contains('/') {
            Err(FileNameError::Slash(name))
        } else if name.len() > Self::MAX_BYTES {
            Err(FileNameError::TooLong(name))
        } else {
            match Name::new(&name) {
                Ok(name) => Ok(Self(name)),
                Err(reason) => Err(FileNameError::BadName { name, reason }),
            }
        }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The id of the default client of this name.
impl From<&FileName> for ClientId {
    fn from(name: &FileName) -> Self {
        Self::from(name.0.clone())
    }
}

/// Finds a pool by any text.
impl Borrow<str> for FileName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for FileName {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, FileNameError> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_file_are_refused() {
        for bad in [
            "",
            "a/b",
            "/",
            "a\nb",
            "a\0b",
            "\u{85}",
            &"x".repeat(201),
            "..",
            " ",
            "a ",
            "(backlog)",
            "a\u{202e}b",
        ] {
            let error = FileName::new(bad).unwrap_err();
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
        for good in ["linux-x86_64", "two words", "ünïcode", &"x".repeat(200)] {
            assert_eq!(FileName::new(good).unwrap().as_str(), good);
        }
    }
}
