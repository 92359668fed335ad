//! A tree as text, with everything about each file that a copy must keep.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use bstr::BStr;
use obuilder::StepId;

/// Returns a line for each file of a tree: its path, mode, owner, time, kind, attributes and content.
pub(crate) fn listing(root: &Path) -> String {
    let mut listing = Listing {
        text: String::new(),
        linked: HashMap::new(),
        root: root.to_owned(),
    };
    listing.add(root);
    listing.text
}

struct Listing {
    text: String,
    /// The first path of each file with several.
    linked: HashMap<(u64, u64), PathBuf>,
    root: PathBuf,
}

impl Listing {
    fn add(&mut self, path: &Path) {
        let metadata = fs::symlink_metadata(path).unwrap();
        let kind = metadata.file_type();
        let name = path.strip_prefix(&self.root).unwrap().to_owned();
        let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
        let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        write!(
            self.text,
            "{name:?} {mode:o} {uid}:{gid} {seconds}.{nanos:09}"
        )
        .unwrap();
        let inode = (metadata.dev(), metadata.ino());
        if !kind.is_dir() && metadata.nlink() > 1 {
            match self.linked.get(&inode) {
                Some(first) => write!(self.text, " = {first:?}").unwrap(),
                None => drop(self.linked.insert(inode, name)),
            }
        }
        if kind.is_symlink() {
            write!(self.text, " -> {:?}", fs::read_link(path).unwrap()).unwrap();
        } else if kind.is_char_device() || kind.is_block_device() {
            write!(self.text, " device {}", metadata.rdev()).unwrap();
        } else if kind.is_file() {
            write!(self.text, " {}", short(&fs::read(path).unwrap())).unwrap();
        }
        for (attribute, value) in attributes(path) {
            write!(self.text, " [{attribute}={}]", short(&value)).unwrap();
        }
        self.text.push('\n');
        if kind.is_dir() {
            let mut entries: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            entries.sort();
            entries.iter().for_each(|entry| self.add(entry));
        }
    }
}

/// Returns bytes as text, or the digest of what would be too much to read.
fn short(bytes: &[u8]) -> String {
    if bytes.len() > 80 {
        return StepId::of(bytes).to_string();
    }
    format!("{:?}", BStr::new(bytes))
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut *names).unwrap();
    let names = String::from_utf8(names[..length].to_vec()).unwrap();
    let mut attributes: Vec<_> = names
        .split_terminator('\0')
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(path, name, &mut *value).unwrap();
            value.truncate(length);
            (name.to_owned(), value)
        })
        .collect();
    attributes.sort();
    attributes
}
