//! Which cgroups a container joins, where they are of the first version: the two that matter.
//!
//! There are a dozen hierarchies, and joining one takes the kernel up to a millisecond. A container needs `devices`, which says
//! what it may use, and `freezer`, by which its processes are found from outside. In all others it stays where this process
//! is, with the limits of the service that it belongs to.

use std::fs;
use std::io;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};

const CGROUPS: &str = "/sys/fs/cgroup";
const WANTED: [&str; 2] = ["devices", "freezer"];

/// Hides all other hierarchies from this process, and so from the library. Does nothing where cgroups are of the second
/// version, or those two are not mounted by themselves.
pub(super) fn hide_others() -> io::Result<()> {
    let root = Path::new(CGROUPS);
    let is_hierarchy = |name| root.join(name).join("cgroup.procs").exists();
    if !WANTED.into_iter().all(is_hierarchy) {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Before anything is unmounted: that must not reach the machine's own mounts.
    let private = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let mut kept = Vec::new();
    for name in WANTED {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        kept.push((name, open_tree(CWD, root.join(name), flags)?));
    }
    unmount(root, UnmountFlags::DETACH)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", root, "tmpfs", flags, Some(c"mode=755"))?;
    for (name, tree) in kept {
        let place = root.join(name);
        fs::create_dir(&place)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&tree, "", CWD, &place, flags)?;
    }
    Ok(())
}
