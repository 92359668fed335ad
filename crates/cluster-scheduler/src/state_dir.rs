//! The state directory: used by one scheduler at a time, and closed to other users.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The lock, the id, the databases, and the files that SQLite has beside them while they are open.
const FILES: [&str; 9] = [
    "scheduler.lock",
    "scheduler.id",
    "scheduler.db",
    "scheduler.db-wal",
    "scheduler.db-shm",
    "scheduler.db-journal",
    "jobs.db",
    "jobs.db-wal",
    "jobs.db-shm",
];

/// What else a directory may hold that is used for nothing but a scheduler: then others need no access to it.
const NEIGHBOURS: [&str; 6] = [
    "job-logs",
    "secrets",
    "capnp-secrets",
    "key.pem",
    "secret-key.pem",
    "lost+found",
];

/// A state directory, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Locked; the system unlocks it however this process ends.
    _lock: File,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Cannot create the directory.
    #[error("cannot create the state directory {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Cannot open or lock the lock file.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// One of its files is a symbolic link or not a file. Links are not followed, as others may control the target.
    #[error(
        "{} is not a plain file; move it away, or put the file itself there",
        path.display()
    )]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Cannot examine or create one of its files.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another scheduler is running on it.
    #[error(
        "the state directory {} is in use by another scheduler; stop that one, or give this one its own",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

impl StateDir {
    /// Creates the directory if it is missing, keeps others from what is in it, and locks it.
    ///
    /// An operator may put the directory elsewhere with a symbolic link, but none of its files.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let created = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .and_then(|()| path.canonicalize());
        let path = &created.map_err(|source| StateDirError::Create {
            path: path.to_owned(),
            source,
        })?;
        protect_directory(path);
        for name in FILES {
            protect_file(&path.join(name))?;
        }
        let lock_path = path.join("scheduler.lock");
        let lock_error = |source| StateDirError::Lock {
            path: lock_path.clone(),
            source,
        };
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&lock_path)
            .map_err(lock_error)?;
        match lock.try_lock() {
            Ok(()) => {
                create_file(&path.join("scheduler.db"))?;
                create_file(&path.join("jobs.db"))?;
                Ok(Self {
                    path: path.to_owned(),
                    _lock: lock,
                })
            }
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(lock_error(source)),
        }
    }

    /// Returns the id of the scheduler on this directory: random, and the same at each start.
    pub(crate) fn id(&self) -> Result<u64, StateDirError> {
        let path = self.path.join("scheduler.id");
        let failed = |source| StateDirError::File {
            path: path.clone(),
            source,
        };
        match fs::read_to_string(&path) {
            Ok(text) => {
                if let Ok(id) = u64::from_str_radix(text.trim(), 16) {
                    return Ok(id);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // The highest bit is left out, as numbers of a database have a sign.
        let random = getrandom::u64().map_err(|error| failed(error.into()))?;
        let id = random & i64::MAX.unsigned_abs();
        // One that was written by half is replaced: then it was never used.
        let temporary = self.path.join("scheduler.id.new");
        let written = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&temporary)
            .and_then(|mut file| {
                writeln!(file, "{id:016x}")?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(failed)?;
        Ok(id)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("scheduler.db")
    }

    /// Returns the path of the database of durable jobs.
    pub(crate) fn jobs_database(&self) -> PathBuf {
        self.path.join("jobs.db")
    }

    /// Returns the folder of the logs of durable jobs.
    pub(crate) fn job_logs(&self) -> PathBuf {
        self.path.join("job-logs")
    }
}

/// The flag with which a symbolic link is not opened.
fn no_follow() -> i32 {
    // The bits of all flags fit into the type that the system takes.
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

/// Creates an empty database if there is none. SQLite would create one that every user can read, and the files beside
/// it with the same mode.
fn create_file(path: &Path) -> Result<(), StateDirError> {
    let created = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(no_follow())
        .open(path);
    created.map(drop).map_err(|source| StateDirError::File {
        path: path.to_owned(),
        source,
    })
}

/// Takes the access of others to a file away, if it is there and they have any.
pub(crate) fn protect_file(path: &Path) -> Result<(), StateDirError> {
    let failed = |source| StateDirError::File {
        path: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.is_file() {
        return Err(StateDirError::NotAFile {
            path: path.to_owned(),
        });
    }
    if !is_open_to_others(&found) {
        return Ok(());
    }
    // By its descriptor, so that it is this file.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow())
        .open(path);
    let mode = mode(&found);
    match opened.and_then(|file| file.set_permissions(Permissions::from_mode(0o600))) {
        Ok(()) => {
            tracing::info!(
                target: "scheduler",
                "Made {} readable only by its owner; its mode was {mode:03o}", path.display()
            );
        }
        // Another user may own it and allow this one to use it.
        Err(error) => {
            tracing::warn!(
                target: "scheduler",
                "Cannot make {} readable only by its owner: {error}; its mode is {mode:03o}", path.display()
            );
        }
    }
    Ok(())
}

/// Takes the access of others to the directory away, if it is used for nothing else: others may have files of theirs
/// there.
///
/// Where that fails, the files are protected all the same.
fn protect_directory(path: &Path) {
    let Ok(found) = fs::metadata(path) else {
        return;
    };
    if !is_open_to_others(&found) || !is_ours_alone(path) {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(0o700)) {
        Ok(()) => {
            tracing::info!(
                target: "scheduler",
                "Made {} accessible only to its owner; its mode was {:03o}", path.display(), mode(&found)
            );
        }
        Err(error) => {
            tracing::warn!(target: "scheduler", "Cannot make {} accessible only to its owner: {error}", path.display());
        }
    }
}

fn is_ours_alone(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    let mut names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    names.all(|name| {
        let known = FILES.iter().chain(&NEIGHBOURS);
        known.into_iter().any(|known| name == *known)
    })
}

fn is_open_to_others(found: &Metadata) -> bool {
    mode(found) & 0o077 != 0
}

fn mode(found: &Metadata) -> u32 {
    found.mode() & 0o777
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        mode(&fs::metadata(path).unwrap())
    }

    #[test]
    fn what_is_made_is_for_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("new/state");
        let _state = StateDir::open(&path).unwrap();
        assert_eq!(mode_of(&path), 0o700);
        assert_eq!(mode_of(&path.join("scheduler.lock")), 0o600);
        assert_eq!(mode_of(&path.join("scheduler.db")), 0o600);
        assert_eq!(mode_of(&path.join("jobs.db")), 0o600);
    }

    #[test]
    fn what_others_could_read_is_mended() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        for name in ["scheduler.db", "scheduler.db-wal"] {
            fs::write(path.join(name), "").unwrap();
            fs::set_permissions(path.join(name), Permissions::from_mode(0o664)).unwrap();
        }
        let _state = StateDir::open(&path).unwrap();
        assert_eq!(mode_of(&path), 0o700);
        assert_eq!(mode_of(&path.join("scheduler.db")), 0o600);
        assert_eq!(mode_of(&path.join("scheduler.db-wal")), 0o600);
    }

    #[test]
    fn a_directory_that_others_use_too_is_left_to_them() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(root.path().join("theirs"), "").unwrap();
        let _state = StateDir::open(root.path()).unwrap();
        assert_eq!(mode_of(root.path()), 0o755);
        assert_eq!(mode_of(&root.path().join("scheduler.db")), 0o600);
    }

    #[test]
    fn links_are_followed_to_the_directory_and_no_further() {
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        drop(StateDir::open(&link).unwrap());
        let target = root.path().join("target");
        fs::write(&target, "precious").unwrap();
        for name in FILES {
            let file = real.join(name);
            fs::remove_file(&file).ok();
            symlink(&target, &file).unwrap();
            let error = StateDir::open(&link).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{name} is not a plain file")),
                "{error}"
            );
            fs::remove_file(&file).unwrap();
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }
}
