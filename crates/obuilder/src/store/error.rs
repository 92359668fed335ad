//! Errors of stores, and their construction from errors of the system.

use std::io;
use std::path::{Path, PathBuf};

use visible::OneLine;

use super::StoreKind;
use crate::StepId;
use crate::sandbox::SandboxError;

/// Why an operation on a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A result does not exist, or no longer.
    #[error("Build result \"{0}\" not found")]
    NoBase(StepId),
    /// The disk is full.
    #[error("cannot {action} {}: no space left on the disk", OneLine(.path.to_string_lossy().as_ref()))]
    Full {
        /// What was attempted: "publish".
        action: String,
        /// The file or directory.
        path: PathBuf,
    },
    /// A process that outlived the step has files open for writing.
    #[error(
        "cannot publish {}: a process still has files in it open for writing; stop the processes that the step \
         started, or passed files to",
        .0.display()
    )]
    InUse(PathBuf),
    /// Another program reads it.
    #[error(
        "cannot remove {}: another program is reading it, such as `obuilder export` or `obuilder shell`; retry \
         once that has exited",
        .0.display()
    )]
    BeingRead(PathBuf),
    /// Only the process that owns the store can change it.
    #[error("cannot change the store {}: it is open read-only", .0.display())]
    OnlyRead(PathBuf),
    /// A system call failed.
    #[error("cannot {action} {}: {source}", OneLine(.path.to_string_lossy().as_ref()))]
    Io {
        /// What was attempted: "mount".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program failed.
    #[error("cannot run {command}: {reason}")]
    Command {
        /// The command line.
        command: String,
        /// Its error output, or its exit status.
        reason: String,
    },
    /// A program that is needed is not installed.
    #[error(
        "cannot run {program:?}: there is no such program in PATH; install it (on Debian: apt-get install \
         {package})"
    )]
    NoProgram {
        /// The program.
        program: String,
        /// The package of Debian that has it.
        package: String,
    },
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Only root can give files to the users of containers, and mount root filesystems.
    #[error(
        "cannot open a store: only root can create files for the users of containers; run this program as root, \
         for example with sudo"
    )]
    NotRoot,
    /// Another process has it.
    #[error(
        "cannot open the store {}: it is in use by {owner}; use another store, or stop that process; `obuilder ls`, \
         `log`, `export`, `shell`, `df`, `cache ls` and `image` work meanwhile",
        .root.display()
    )]
    InUse {
        /// The store.
        root: PathBuf,
        /// Its program and process id.
        owner: String,
    },
    /// It belongs to another user, who could change its files.
    #[error(
        "cannot open the store {}: it belongs to the user {owner}; use another directory, or `chown` it to the user \
         of this process",
        .root.display()
    )]
    Owner {
        /// The store.
        root: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// Other users can enter it, and it has other files than a store.
    #[error(
        "cannot open the store {}: it has the mode {mode:04o}, so that other users could run set-user-id programs \
         in it, and it has other files, too; use an empty directory, or `chmod 700` this one",
        .root.display()
    )]
    Others {
        /// The store.
        root: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// This kind of store is not supported.
    #[error(
        "cannot open {} stores: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool",
        .0.as_str()
    )]
    Unsupported(StoreKind),
    /// The filesystem lacks a feature that this kind of store needs.
    #[error("cannot open the store {}: {filesystem} {lacks}; {advice}", .root.display())]
    Filesystem {
        /// The store.
        root: PathBuf,
        /// Its filesystem's name.
        filesystem: String,
        /// The missing feature: "has no subvolumes".
        lacks: &'static str,
        /// The remedy.
        advice: &'static str,
    },
    /// The ZFS dataset has no directory.
    #[error(
        "cannot use the ZFS dataset {dataset:?}: {problem}; use a dataset that `zfs list` shows as mounted at {}, \
         or another store such as overlayfs:/path",
        .root.display()
    )]
    NoDataset {
        /// The dataset.
        dataset: String,
        /// Where it should be mounted.
        root: PathBuf,
        /// What is missing.
        problem: &'static str,
    },
    /// The kernel is too old for btrfs.
    #[error(
        "You need at least linux 5.8 to use the btrfs backend, but current kernel version is '{}.{}'",
        .0.0, .0.1
    )]
    Kernel((u32, u32)),
    /// A container of a killed process does not stop.
    #[error(transparent)]
    Running(#[from] SandboxError),
    /// An operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// Returns the error for a failed system call on `path`. A full disk or quota has a variant of its own.
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                action: action.to_owned(),
                path,
            },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// Adds the attempted action to the error of a system call.
pub(super) trait Cannot<T> {
    /// Adds the `action`, an infinitive, and the `path`.
    fn cannot(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Cannot<T> for Result<T, E> {
    fn cannot(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::new(action, path, error.into()))
    }
}

/// Ignores errors of a kind: removing a file that is already removed, creating one that exists.
pub(super) fn ignore(kind: io::ErrorKind, result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        other => other,
    }
}
