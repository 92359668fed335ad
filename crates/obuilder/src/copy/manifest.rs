//! What is to be copied.

use std::path::PathBuf;

use bstr::BString;
use obuilder_spec::Sexp;

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
    /// Returns what the step's id depends on: the field `op`, with the sources and the destination.
    ///
    /// The modes of files are not in it, nor are their times.
    pub fn sexp(&self) -> Sexp {
        let dst = Sexp::atom(self.dst.clone());
        let mut items = self.items.iter().map(Item::sexp);
        let (form, sources) = match (self.destination.is_directory, items.next()) {
            (false, Some(item)) => ("Copy_item", item),
            (_, first) => ("Copy_items", Sexp::list(first.into_iter().chain(items))),
        };
        Sexp::field("op", Sexp::field(form, Sexp::list([sources, dst])))
    }

    /// Returns what the result depends on and [`sexp`](Self::sexp) does not say: a byte for each file, in the order of that, which
    /// says whether it is executable.
    pub(crate) fn modes(&self) -> Vec<u8> {
        let mut modes = Vec::new();
        for item in &self.items {
            item.entry.modes(&mut modes);
        }
        modes
    }

    /// Returns how many files had to be read, because the digests of the others were known.
    pub fn files_read(&self) -> usize {
        self.files_read
    }
}

impl Item {
    fn sexp(&self) -> Sexp {
        let Self { parents, entry } = self;
        let mut path = BString::default();
        for name in parents {
            push_name(&mut path, name);
        }
        push_name(&mut path, &entry.name);
        entry.sexp(&mut path)
    }
}

impl Entry {
    fn modes(&self, modes: &mut Vec<u8>) {
        match &self.content {
            Content::File { executable, .. } => modes.push(if *executable { b'x' } else { b'-' }),
            Content::Symlink { .. } => {}
            Content::Directory { entries } => entries.iter().for_each(|entry| entry.modes(modes)),
        }
    }

    /// Returns what the step's id depends on. `path` leads here, and is as it was afterwards.
    fn sexp(&self, path: &mut BString) -> Sexp {
        let (kind, value) = match &self.content {
            Content::File { digest, .. } => ("File", Sexp::atom(hexadecimal(digest))),
            Content::Symlink { target } => ("Symlink", Sexp::atom(target.clone())),
            Content::Directory { entries } => {
                let length = path.len();
                let entry = |entry: &Self| {
                    push_name(path, &entry.name);
                    let sexp = entry.sexp(path);
                    path.truncate(length);
                    sexp
                };
                ("Dir", Sexp::List(entries.iter().map(entry).collect()))
            }
        };
        Sexp::field(kind, Sexp::list([Sexp::atom(path.clone()), value]))
    }
}

fn push_name(path: &mut BString, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// Returns a digest as text.
fn hexadecimal(digest: &Digest) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('?');
    digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
