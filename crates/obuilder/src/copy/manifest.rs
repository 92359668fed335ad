//! What is to be copied.

use std::path::PathBuf;

use bstr::BString;

use super::destination::Destination;
use super::files::Digest;

/// What is to be copied: all that the step's id depends on, and what else is needed to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub(super) root: PathBuf,
    pub(super) items: Vec<Item>,
    /// The destination as the spec has it.
    pub(super) dst: BString,
    pub(super) destination: Destination,
    pub(super) files_read: usize,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The names of the directories on the way to it.
    pub(super) parents: Vec<BString>,
    /// It. The name of the root itself is empty.
    pub(super) entry: Entry,
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: BString,
    /// When it was last changed, in seconds since 1970.
    pub(super) mtime: i64,
    pub(super) content: Content,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    File {
        digest: Digest,
        size: u64,
        /// Whether anybody may execute it.
        executable: bool,
    },
    Symlink {
        target: BString,
    },
    Directory {
        /// By name.
        entries: Vec<Entry>,
    },
}

impl Manifest {
    /// Returns how many files had to be read, because the digests of the others were known.
    pub fn files_read(&self) -> usize {
        self.files_read
    }
}
