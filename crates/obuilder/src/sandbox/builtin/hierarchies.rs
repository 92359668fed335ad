//! Joins the control groups of a container, and then hides all groups from the library.
//!
//! The library would create and join a group in each hierarchy of the first version, and each time the kernel would
//! stop all processes for a millisecond. This process has a single thread, so it can join without that stop, and its
//! children are in the same groups. So it joins all of them here. For the group of the second version there is no such
//! way, so this process was started in it.

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

/// A hierarchy that is visible in the container.
pub(super) struct VisibleHierarchy {
    /// The name of its mount.
    pub(super) name: String,
    /// The path of the container's group for this process.
    pub(super) source: PathBuf,
}

/// Moves this process into a container's inner groups, restricts these to the devices that every container has, and
/// hides all groups from the library.
///
/// Returns the hierarchies for the container: those of the first version, and the second one if both are
/// mounted. If the second one is alone, the list is empty: a new mount in the container's namespace shows the
/// container's group only.
pub(super) fn enter(entrance: &Entrance) -> io::Result<Vec<VisibleHierarchy>> {
    let Entrance {
        inner,
        is_in_second,
    } = entrance;
    restrict_devices(inner.directories())?;
    inner.join(*is_in_second)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Before the unmount, which must not affect the machine's own mounts.
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
    let mut visible = Vec::new();
    for (number, (name, tree)) in kept.into_iter().enumerate() {
        // The library takes a mount with a controller's name for its hierarchy.
        let source = root.join(number.to_string());
        fs::create_dir(&source)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&tree, "", CWD, &source, flags)?;
        visible.push(VisibleHierarchy { name, source });
    }
    Ok(visible)
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
