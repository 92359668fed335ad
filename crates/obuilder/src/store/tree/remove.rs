//! Removes trees with any content.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmod, fstat, openat, renameat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{DIRECTORY, open_below_as, path_to};
use crate::store::error::ignore;

/// The greatest depth for the standard library, which uses a file and some stack for each level.
const DEEPEST: usize = 200;

/// The longest path in it, in bytes. The kernel's limit is 4096, with the path of the tree itself.
const LONGEST: usize = 2000;

/// Removes a tree, or a file, of any depth and with any permissions of its directories. It is no error if there is
/// none.
///
/// # Errors
/// If the tree belongs to another user, or another process writes to it meanwhile.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => {
            flatten(path)?;
            ignore(io::ErrorKind::NotFound, fs::remove_dir_all(path))
        }
        Ok(_) => ignore(io::ErrorKind::NotFound, fs::remove_file(path)),
    }
}

/// Moves directories that are too deep up to the top, as often as it takes.
fn flatten(top: &Path) -> io::Result<()> {
    let top = openat(CWD, top, DIRECTORY | OFlags::PATH, Mode::empty())?;
    let top = make_removable(top)?;
    let mut moved: u64 = 0;
    let mut pending = vec![(PathBuf::new(), 0)];
    while let Some((dir, depth)) = pending.pop() {
        let opened = match open_for_removal_below(&top, &dir) {
            // It was replaced or removed meanwhile.
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

/// Opens a directory below the top, on whose path there must be no symlink, so that its entries can be removed.
fn open_for_removal_below(top: &OwnedFd, dir: &Path) -> rustix::io::Result<OwnedFd> {
    if dir.as_os_str().is_empty() {
        return openat(top, ".", DIRECTORY, Mode::empty());
    }
    make_removable(open_below_as(top, dir, OFlags::PATH)?)
}

fn make_removable(dir: OwnedFd) -> rustix::io::Result<OwnedFd> {
    const ALL: u32 = 0o700;
    // Permissions do not stop root. Other users are stopped by permissions that they set themselves, as builds do (Go's
    // module cache is read-only).
    if !geteuid().is_root() {
        let mode = Mode::from_raw_mode(fstat(&dir)?.st_mode);
        if mode.bits() & ALL != ALL {
            // Through /proc, because only a path can change the mode of a directory that was opened without
            // permissions. This fails for a directory of another user, and so does its removal.
            let _ = chmod(path_to(&dir), mode | Mode::RWXU);
        }
    }
    openat(dir, ".", DIRECTORY, Mode::empty())
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

    /// A build may create one by changing directory repeatedly; no single path reaches its end.
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

    /// Like Go's module cache, and worse. Permissions do not stop root, so this needs another user.
    #[test]
    fn a_tree_without_permissions_is_removed_by_its_owner() {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        if !geteuid().is_root() {
            return;
        }
        const NOBODY: u32 = 65534;
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let top = dir.path().join("top");
        let below = top.join("read-only/closed/blind");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join("file"), "").unwrap();
        fs::write(top.join("read-only/file"), "").unwrap();
        for path in [
            dir.path(),
            &top,
            &top.join("read-only"),
            &top.join("read-only/file"),
            &top.join("read-only/closed"),
            &below,
            &below.join("file"),
        ] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        set(&below, 0o444);
        set(&top.join("read-only/closed"), 0o000);
        set(&top.join("read-only"), 0o555);
        set(&top, 0o000);
        // A thread has a user of its own.
        let removed = std::thread::scope(|scope| {
            let removing = scope.spawn(|| {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(NOBODY)).unwrap();
                remove(&top)
            });
            removing.join().unwrap()
        });
        removed.unwrap();
        assert!(!top.exists());
    }

    /// A process with a descriptor of the tree replaces a directory by a link while it is removed.
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
