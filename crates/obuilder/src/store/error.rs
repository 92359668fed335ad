//! Why a store could not do something, and how an error of the system becomes that.

use std::io;
use std::path::{Path, PathBuf};

use super::StoreKind;
use crate::StepId;
use crate::sandbox::SandboxError;

/// Why a store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The step that another is based on has no result, or no longer.
    #[error("Build result \"{0}\" not found")]
    NoBase(StepId),
    /// The disk is full.
    #[error("cannot {action} {path:?}: no space left on the disk")]
    Full {
        /// What was to be done: "publish".
        action: String,
        /// Where.
        path: PathBuf,
    },
    /// Something that outlived a step has its files open for writing.
    #[error(
        "cannot publish {0:?}: a process still has files in it open for writing; stop the processes that the step started, or passed \
         files to"
    )]
    InUse(PathBuf),
    /// Another program reads it.
    #[error(
        "cannot remove {0:?}: another program is reading it, such as `obuilder export` or `obuilder shell`; retry once that has exited"
    )]
    BeingRead(PathBuf),
    /// It is another process's to change.
    #[error("cannot change the store {0:?}: it is open read-only")]
    OnlyRead(PathBuf),
    /// The system refused something.
    #[error("cannot {action} {path:?}: {source}")]
    Io {
        /// What was to be done: "mount".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that was needed failed.
    #[error("cannot run {command}: {reason}")]
    Command {
        /// The command line.
        command: String,
        /// What it said, or how it ended.
        reason: String,
    },
    /// A program that is needed is not installed.
    #[error(
        "cannot run {program:?}: there is no such program in PATH; install it (on Debian: apt-get install {package})"
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
    /// Only root can give files to the users of containers, and mount what steps work in.
    #[error(
        "cannot open a store: only root can make files for the users of containers; run this program as root, with sudo \
         for example"
    )]
    NotRoot,
    /// Another process has it.
    #[error(
        "the store {root:?} is in use by {owner}: give this process another, or end that one; `obuilder ls`, `log`, `export`, \
         `shell`, `df`, `cache ls` and `image` work meanwhile"
    )]
    InUse {
        /// The store.
        root: PathBuf,
        /// What it says of itself: a program and its process id.
        owner: String,
    },
    /// It belongs to somebody else, who could do with its files as they like.
    #[error(
        "the store {root:?} belongs to the user {owner}: give it a directory of its own, or `chown` it to the user of this process"
    )]
    Owner {
        /// The store.
        root: PathBuf,
        /// The number of its owner.
        owner: u32,
    },
    /// Others can get into it, and there is more in it than a store.
    #[error(
        "the store {root:?} has the mode {mode:04o}, so that other users could run set-user-id programs in it, and has other \
         files in it, too: give the store a directory of its own, or `chmod 700` this one"
    )]
    Others {
        /// The store.
        root: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There is no such store here.
    #[error(
        "no {} stores here: use overlayfs:/path, btrfs:/path, xfs:/path, rsync:/path or zfs:pool",
        .0.as_str()
    )]
    Unsupported(StoreKind),
    /// The filesystem lacks what this kind of store is made of.
    #[error("{root:?} is on {filesystem}, which {lacks}: {advice}")]
    Filesystem {
        /// The store.
        root: PathBuf,
        /// Its filesystem's name.
        filesystem: String,
        /// What it cannot do: "has no subvolumes".
        lacks: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// There is no directory of the ZFS dataset.
    #[error(
        "cannot use the ZFS dataset {dataset:?}: {problem}; use a dataset that `zfs list` shows as mounted at {root:?}, or another store such as overlayfs:/path"
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
    /// Something that a killed process has started in it does not end.
    #[error(transparent)]
    Running(#[from] SandboxError),
    /// Something failed while it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// Returns what to tell of a system call on `path` that failed. A full disk, or quota, is told apart.
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

/// Adds to a failed system call what it was for.
pub(super) trait Cannot<T> {
    /// Adds what could not be done (`action`, an infinitive), and to which `path`.
    fn cannot(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Cannot<T> for Result<T, E> {
    fn cannot(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::new(action, path, error.into()))
    }
}

/// Takes "it is not there" for done: for what is removed, or made, whoever did it.
pub(super) fn unless(kind: io::ErrorKind, result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        other => other,
    }
}
