//! The state directory, which belongs to one scheduler at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A state directory that nobody else may use while this is held.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Locked; the system unlocks it however this process ends.
    _lock: File,
}

/// Why the state directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// The directory does not exist and could not be made.
    #[error("failed to create the state directory {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The lock file could not be opened or locked.
    #[error("failed to lock the state directory with {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another scheduler is running on it.
    #[error("the state directory {} is in use by another scheduler; stop that one, or give this one its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

impl StateDir {
    /// Creates the directory if it is missing, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(|source| StateDirError::Create {
                path: path.to_owned(),
                source,
            })?;
        let lock_path = path.join("scheduler.lock");
        let lock_error = |source| StateDirError::Lock {
            path: lock_path.clone(),
            source,
        };
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(lock_error)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(lock_error(source)),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("scheduler.db")
    }
}
