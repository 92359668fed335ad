//! Removes trees, whatever is in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::error::unless;

/// How deep a tree may be for the library, which keeps a file and some stack for each level.
const DEEPEST: usize = 200;

/// How long a path in it may be, in bytes. The kernel takes 4096 with what is before it.
const LONGEST: usize = 2000;

/// Removes a tree, or a file. It is no error if there is none.
pub(in crate::store) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => {
            flatten(path)?;
            unless(io::ErrorKind::NotFound, fs::remove_dir_all(path))
        }
        Ok(_) => unless(io::ErrorKind::NotFound, fs::remove_file(path)),
    }
}

/// Moves directories that are too deep up to the top, as often as it takes.
fn flatten(top: &Path) -> io::Result<()> {
    let mut moved: u64 = 0;
    let mut pending = vec![(top.to_owned(), 0)];
    while let Some((dir, depth)) = pending.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let path = entry.path();
            let length = path.as_os_str().len() - top.as_os_str().len();
            if depth < DEEPEST && length < LONGEST {
                pending.push((path, depth + 1));
                continue;
            }
            let up = free_name(top, &mut moved)?;
            fs::rename(path, &up)?;
            pending.push((up, 1));
        }
    }
    Ok(())
}

fn free_name(top: &Path, moved: &mut u64) -> io::Result<PathBuf> {
    loop {
        let name = top.join(format!("too-deep.{moved}"));
        *moved += 1;
        match fs::symlink_metadata(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build may make one by changing directory as it goes; no single path reaches its end.
    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        for _ in 0..21 {
            // Built from below: a chain of 100 directories becomes the last of the chain before.
            let next = dir.path().join("next");
            fs::create_dir_all(next.join(vec!["d"; 100].join("/"))).unwrap();
            let end = next.join(vec!["d"; 100].join("/"));
            fs::rename(&top, end.join("top")).unwrap();
            fs::rename(&next, &top).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists());
        remove(&top).unwrap();
    }
}
