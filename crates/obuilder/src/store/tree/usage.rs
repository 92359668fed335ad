//! The disk usage of a tree.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{open_below, open_top, path_to};
use crate::store::Usage;

/// The unit of a file's number of blocks, in bytes.
const BLOCK: u64 = 512;

/// How a file of a result is recognized as its base's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Sharing {
    /// It is a hard link to the base's file.
    Links,
    /// It is a copy with the same blocks: it has the same size, and the same time of change to the nanosecond.
    Blocks,
}

/// Returns the disk usage of the tree `top`, without what it shares with the tree `base`. A file with
/// several names counts once.
pub(in crate::store) fn usage(top: &Path, base: Option<(&Path, Sharing)>) -> io::Result<Usage> {
    let opened = open_top(top)?;
    let mut usage = taken(&fs::symlink_metadata(top)?);
    let mut counted = HashSet::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(below) = ahead.pop() {
        let directory = open_below(&opened, &below)?;
        for entry in fs::read_dir(path_to(&directory))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let path = below.join(entry.file_name());
            if metadata.is_dir() {
                usage += taken(&metadata);
                ahead.push(path);
                continue;
            }
            if metadata.nlink() > 1 && !counted.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            let shared = base.and_then(|(base, sharing)| {
                let known = fs::symlink_metadata(base.join(&path)).ok()?;
                is_shared(&metadata, &known, sharing).then_some(sharing)
            });
            usage += match shared {
                None => taken(&metadata),
                Some(Sharing::Links) => Usage::default(),
                Some(Sharing::Blocks) => Usage { bytes: 0, files: 1 },
            };
        }
    }
    Ok(usage)
}

fn taken(metadata: &Metadata) -> Usage {
    Usage {
        bytes: metadata.blocks().saturating_mul(BLOCK),
        files: 1,
    }
}

fn is_shared(file: &Metadata, known: &Metadata, sharing: Sharing) -> bool {
    match sharing {
        Sharing::Links => (file.dev(), file.ino()) == (known.dev(), known.ino()),
        Sharing::Blocks => {
            let content = |file: &Metadata| (file.size(), file.mtime(), file.mtime_nsec());
            file.is_file() && known.is_file() && content(file) == content(known)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_with_two_names_takes_room_once_and_a_hole_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["1", "2"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("1/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(path("1/file"), path("1/again")).unwrap();
        fs::hard_link(path("1/file"), path("2/file")).unwrap();
        File::create(path("2/hole"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        let one = usage(&path("1"), None).unwrap();
        assert!((100_000..200_000).contains(&one.bytes), "{one:?}");
        assert_eq!(one.files, 2);
        let alone = usage(&path("2"), None).unwrap();
        assert!((100_000..200_000).contains(&alone.bytes), "{alone:?}");
        let two = usage(&path("2"), Some((&path("1"), Sharing::Links))).unwrap();
        assert!(two.bytes < 100_000, "{two:?}");
        assert_eq!(two.files, 2);
    }
}
