//! Removes trees, whatever is in them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, renameat, statat};
use rustix::io::Errno;

use super::{open_below, open_top, path_to};
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
    let top = open_top(top)?;
    let mut moved: u64 = 0;
    let mut pending = vec![(PathBuf::new(), 0)];
    while let Some((dir, depth)) = pending.pop() {
        let opened = match open_below(&top, &dir) {
            // It is something else by now, or gone.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            opened => opened?,
        };
        for entry in fs::read_dir(path_to(&opened))? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let path = dir.join(entry.file_name());
            if depth < DEEPEST && path.as_os_str().len() < LONGEST {
                pending.push((path, depth + 1));
                continue;
            }
            let up = free_name(&top, &mut moved)?;
            renameat(&opened, entry.file_name(), &top, &up)?;
            pending.push((up, 1));
        }
    }
    Ok(())
}

fn free_name(top: &OwnedFd, moved: &mut u64) -> io::Result<PathBuf> {
    loop {
        let name = PathBuf::from(format!("too-deep.{moved}"));
        *moved += 1;
        match statat(top, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(name),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::exchange_until;
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

    /// Whoever has a descriptor of the tree makes a link of a directory while it is removed.
    #[test]
    fn a_tree_that_changes_meanwhile_leads_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (top, outside) = (dir.path().join("top"), dir.path().join("outside"));
        fs::create_dir_all(outside.join("kept")).unwrap();
        for _ in 0..100 {
            let end = top.join(vec!["d"; DEEPEST].join("/"));
            fs::create_dir_all(end.join("kept")).unwrap();
            let link = end.with_file_name("link");
            symlink(&outside, &link).unwrap();
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| exchange_until(&stop, &end, &link));
                // It may fail.
                drop(remove(&top));
                stop.store(true, Ordering::SeqCst);
            });
            assert!(outside.join("kept").exists());
            remove(&top).unwrap();
        }
    }
}
