//! The control groups of a container: this process joins them, and then hides all groups from the library.
//!
//! The library would make and join a group in each hierarchy of the first version, in a way for which the kernel stops all processes
//! for a moment: a millisecond each time. This process has a single thread, and so a way to join that costs next to nothing; what it
//! starts is in the same groups. So they are all joined here; that of the second version has no such way, and this process was
//! started in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};

use super::devices;
use super::entering::Entrance;

const CGROUPS: &str = "/sys/fs/cgroup";

/// A hierarchy, as the container is to see it.
pub(super) struct Shown {
    /// The name of its mount.
    pub(super) name: String,
    /// Where this process has the container's group.
    pub(super) source: PathBuf,
}

/// Puts this process into a container's inner groups, lets nothing in them use other devices than those that every container has, and
/// hides all groups from the library.
///
/// Returns what the container is to see of each hierarchy: of the first version, and of the second where both are mounted. Where the
/// second is alone, there is nothing to return: mounted anew in the container's namespace, it shows the container's group only.
pub(super) fn enter(entrance: &Entrance) -> io::Result<Vec<Shown>> {
    let Entrance {
        inner,
        is_in_second,
    } = entrance;
    restrict_devices(inner.directories())?;
    inner.join(*is_in_second)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Before anything is unmounted: that must not reach the machine's own mounts.
    let private = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let root = Path::new(CGROUPS);
    let is_unified = root.join("cgroup.controllers").exists();
    let mut kept = Vec::new();
    for directory in inner.directories().filter(|_| !is_unified) {
        let below = directory.strip_prefix(root).ok();
        let Some(name) = below.and_then(|path| path.iter().next()) else {
            continue;
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, directory, flags)?;
        kept.push((name.to_string_lossy().into_owned(), tree));
    }
    unmount(root, UnmountFlags::DETACH)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", root, "tmpfs", flags, Some(c"mode=755"))?;
    let mut shown = Vec::new();
    for (number, (name, tree)) in kept.into_iter().enumerate() {
        // The library takes what is mounted on a controller's name for its hierarchy.
        let source = root.join(number.to_string());
        fs::create_dir(&source)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&tree, "", CWD, &source, flags)?;
        shown.push(Shown { name, source });
    }
    Ok(shown)
}

fn restrict_devices<'a>(groups: impl Iterator<Item = &'a Path>) -> io::Result<()> {
    let groups: Vec<_> = groups.collect();
    let has = |file: &'static str| groups.iter().find(move |group| group.join(file).exists());
    if let Some(group) = has("devices.deny") {
        return devices::restrict_first_version(group);
    }
    match has("cgroup.controllers") {
        Some(group) => devices::restrict(group),
        None => Err(io::Error::other("no control group can deny devices")),
    }
}
