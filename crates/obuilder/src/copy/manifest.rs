//! The files to copy.

use std::path::PathBuf;

use bstr::BString;
use obuilder_spec::Sexp;

use super::destination::Destination;
use super::files::Digest;

/// The files to copy, with everything on which the step's id depends, and everything that the copy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub(super) root: PathBuf,
    pub(super) items: Vec<Item>,
    /// The destination, as in the spec.
    pub(super) dst: BString,
    pub(super) destination: Destination,
    pub(super) files_read: usize,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The names of its parent directories.
    pub(super) parents: Vec<BString>,
    /// The source itself. The name of the root is empty.
    pub(super) entry: Entry,
}

/// A named entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: BString,
    /// When it was last changed, in seconds since 1970.
    pub(super) mtime: i64,
    pub(super) content: Content,
}

/// The kind and content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    File {
        digest: Digest,
        size: u64,
        /// Whether any user may execute it.
        executable: bool,
    },
    Symlink {
        target: BString,
    },
    Directory {
        /// Its entries, by name.
        entries: Vec<Entry>,
    },
}

impl Manifest {
    /// Returns the inputs for the step's id: the field `op`, with the sources and the destination.
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

    /// Returns the inputs that are not in [`sexp`](Self::sexp): a byte for each file, in the same order, for
    /// whether it is executable.
    pub(crate) fn modes(&self) -> Vec<u8> {
        let mut modes = Vec::new();
        for item in &self.items {
            item.entry.modes(&mut modes);
        }
        modes
    }

    /// Returns how many files were read. The digests of the others were known.
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

    /// Returns the inputs for the step's id. `path` is the path of this entry, and is the same afterwards.
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
