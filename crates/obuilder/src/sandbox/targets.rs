//! Where a command's things go in its root filesystem, and where nothing may go.
//!
//! Each name is followed here as the kernel would follow it in the container, in the order in which things are mounted: a
//! link in one cache may lead to where the next is to go. The runtime is told the ends of these ways, in which there is no
//! link any more, so that it has nothing to follow, and every runtime comes out at the same place.

use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};

use super::inside::{COVERED, Kind, Tree};
use super::{Command, Network, SandboxError};

/// The ends of the ways, all of them absolute and without links.
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

/// Finds out where things go, and makes the working directory and what the runtime mounts things on, where they are missing.
///
/// A runtime would make most of it, each in its own way, and none does where a link of the image dangles.
///
/// # Errors
/// [`SandboxError::Unsupported`] when something is to go where nothing may.
pub(super) fn prepare(rootfs: &Path, command: &Command) -> Result<Targets, SandboxError> {
    let mut tree = Tree::open(rootfs)
        .map_err(|source| SandboxError::io(format!("cannot open {rootfs:?}"), source))?;
    for name in COVERED {
        // Older runtimes follow a link there to a directory of the machine (CVE-2026-41579).
        tree.ensure_plain(name).map_err(|source| {
            SandboxError::io(format!("the image's /{name} cannot be mounted on"), source)
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
            SandboxError::io(format!("cannot open {:?}", cache.source), source)
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
    match Ground::of(target.as_bstr()) {
        Ground::Image | Ground::SharedMemory => Ok(target),
        // A cache there would show a command, and the runtime that prepares it, files of its own choice in the place of the
        // kernel's: what is masked, which device is which (CVE-2025-31133, CVE-2025-52881).
        Ground::Root | Ground::Devices | Ground::Proc | Ground::Sys => {
            let leads =
                (target != wanted).then(|| format!("it leads to {:?}, and ", target.as_bstr()));
            Err(SandboxError::Unsupported(format!(
                "cannot mount on {wanted:?}: {}nothing may be mounted on /, nor on or below /dev (but for /dev/shm), /proc and \
                 /sys; choose another target",
                leads.unwrap_or_default(),
            )))
        }
    }
}

fn working_directory(tree: &Tree, wanted: &BStr) -> Result<BString, SandboxError> {
    if !wanted.starts_with(b"/") {
        return Err(SandboxError::Unsupported(format!(
            "the working directory {wanted:?} is not absolute"
        )));
    }
    let what = "the working directory";
    let cwd = find(tree, what, wanted, Kind::Directory)?;
    let ground = Ground::of(cwd.as_bstr());
    if ground == Ground::Sys && cwd.split_str("/").any(|name| name == b"..") {
        // There are links, so nobody knows where this ends: it may be in /proc after all.
        return Err(SandboxError::Unsupported(format!(
            "{what} {wanted:?} must not lead through /sys"
        )));
    }
    // `/proc/self/fd/7` might be anything that a runtime has left open (CVE-2024-21626), and so might `/dev/fd/7`.
    if ground == Ground::Proc || ground == Ground::Devices && cwd != "/dev" {
        let name = if ground == Ground::Proc {
            "proc"
        } else {
            "dev"
        };
        return Err(SandboxError::Unsupported(format!(
            "{what} {wanted:?} must not be in /{name}"
        )));
    }
    Ok(cwd)
}

fn find(tree: &Tree, what: &str, wanted: &BStr, kind: Kind) -> Result<BString, SandboxError> {
    tree.ensure(wanted, kind)
        .map_err(|source| SandboxError::io(format!("cannot make {what} {wanted:?}"), source))
}

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
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

impl Ground {
    /// Returns what is at a path without links.
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
