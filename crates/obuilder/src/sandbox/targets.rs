//! The paths of mounts in a command's root filesystem, and the paths at which nothing may be mounted.
//!
//! Each path is resolved here as the kernel would resolve it in the container, in the order of the mounts: a link in
//! one cache may change the target of the next. The runtime gets the resolved paths without links, so that every
//! runtime uses the same target.

use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};

use super::mount_points::{COVERED, Kind, Tree};
use super::{Command, Network, SandboxError};

/// The resolved paths, all of them absolute and without links.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) hosts: BString,
    /// `None` for a command that has no network.
    pub(super) resolv_conf: Option<BString>,
    /// In the order of the command's.
    pub(super) secrets: Vec<BString>,
    /// In the order of the command's.
    pub(super) mounts: Vec<BString>,
    pub(super) cwd: BString,
}

/// Resolves the paths, and creates the working directory and the mount points if they are missing.
///
/// A runtime would create most of them, each in its own way, but none behind a dangling link of the image.
///
/// # Errors
/// [`SandboxError::Unsupported`] if a target is at a path at which nothing may be mounted.
pub(super) fn prepare(rootfs: &Path, command: &Command) -> Result<Targets, SandboxError> {
    let mut tree = Tree::open(rootfs)
        .map_err(|source| SandboxError::io(format!("cannot open {}", rootfs.display()), source))?;
    for name in COVERED {
        // Older runtimes follow a link there to a directory of the machine (CVE-2026-41579).
        tree.ensure_plain(name).map_err(|source| {
            SandboxError::io(format!("cannot mount on /{name} of the image"), source)
        })?;
    }
    let hosts = on_file(&tree, b"/etc/hosts".as_bstr())?;
    let resolv_conf = (command.network == Network::Host)
        .then(|| on_file(&tree, b"/etc/resolv.conf".as_bstr()))
        .transpose()?;
    let secrets = command.secrets.iter();
    let secrets = secrets
        .map(|secret| on_file(&tree, secret.target.as_bstr()))
        .collect::<Result<_, _>>()?;
    let mut mounts = Vec::new();
    for cache in &command.mounts {
        let wanted = cache.target.as_bstr();
        let target = mount_target(&tree, wanted, Kind::Directory)?;
        tree.mount(&target, &cache.source).map_err(|source| {
            SandboxError::io(format!("cannot open {}", cache.source.display()), source)
        })?;
        mounts.push(target);
    }
    Ok(Targets {
        hosts,
        resolv_conf,
        secrets,
        mounts,
        cwd: working_directory(&tree, command.cwd.as_bstr())?,
    })
}

fn on_file(tree: &Tree, wanted: &BStr) -> Result<BString, SandboxError> {
    mount_target(tree, wanted, Kind::File)
}

fn mount_target(tree: &Tree, wanted: &BStr, kind: Kind) -> Result<BString, SandboxError> {
    let target = find(tree, "the mount target", wanted, kind)?;
    match Area::of(target.as_bstr()) {
        Area::Image | Area::SharedMemory => Ok(target),
        // A cache there would replace files of the kernel, such as masked ones and devices, for the command and
        // for the runtime that prepares it (CVE-2025-31133, CVE-2025-52881).
        Area::Root | Area::Devices | Area::Proc | Area::Sys => {
            let leads =
                (target != wanted).then(|| format!("it leads to {:?}, and ", target.as_bstr()));
            Err(SandboxError::Unsupported(format!(
                "cannot mount on {wanted:?}: {}nothing may be mounted on /, nor on or below /dev (but for /dev/shm), \
                 /proc and /sys; choose another target",
                leads.unwrap_or_default(),
            )))
        }
    }
}

fn working_directory(tree: &Tree, wanted: &BStr) -> Result<BString, SandboxError> {
    if !wanted.starts_with(b"/") {
        return Err(SandboxError::Unsupported(format!(
            "cannot use the working directory {wanted:?}: it is not absolute"
        )));
    }
    let what = "the working directory";
    let cwd = find(tree, what, wanted, Kind::Directory)?;
    let area = Area::of(cwd.as_bstr());
    if area == Area::Sys && cwd.split_str("/").any(|name| name == b"..") {
        // There are links, so the target is unknown: it may be in /proc after all.
        return Err(SandboxError::Unsupported(format!(
            "cannot use {what} {wanted:?}: it must not lead through /sys"
        )));
    }
    // `/proc/self/fd/7` and `/dev/fd/7` may be any file that a runtime has left open (CVE-2024-21626).
    if area == Area::Proc || area == Area::Devices && cwd != "/dev" {
        let name = if area == Area::Proc { "proc" } else { "dev" };
        return Err(SandboxError::Unsupported(format!(
            "cannot use {what} {wanted:?}: it must not be in /{name}"
        )));
    }
    Ok(cwd)
}

fn find(tree: &Tree, what: &str, wanted: &BStr, kind: Kind) -> Result<BString, SandboxError> {
    tree.ensure(wanted, kind)
        .map_err(|source| SandboxError::io(format!("cannot create {what} {wanted:?}"), source))
}

/// A part of the root filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// The image's own files, or those of a cache.
    Image,
    /// The image's root directory.
    Root,
    /// `/dev/shm`, which is empty when the command starts.
    SharedMemory,
    Devices,
    Proc,
    Sys,
}

impl Area {
    /// Returns the part in which a path without links is.
    fn of(path: &BStr) -> Self {
        let mut names = path.split_str("/").filter(|name| !name.is_empty());
        match (names.next(), names.next()) {
            (None, _) => Self::Root,
            (Some(b"dev"), Some(b"shm")) => Self::SharedMemory,
            (Some(b"dev"), _) => Self::Devices,
            (Some(b"proc"), _) => Self::Proc,
            (Some(b"sys"), _) => Self::Sys,
            (Some(_), _) => Self::Image,
        }
    }
}
