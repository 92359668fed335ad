//! Which filesystem a path is on.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Returns the nearest folder above `path` that exists, or `path` itself if it does, without links.
pub(super) fn existing(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let found = path.ancestors().find_map(|path| path.canonicalize().ok());
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns the name of the filesystem that `path`, which has no links, is on: `ext4`.
pub(super) fn filesystem(path: &Path) -> io::Result<String> {
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    let found = filesystem_in(&String::from_utf8_lossy(&mounts), path);
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn filesystem_in(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(PathBuf, &str)> = None;
    for line in mounts.lines() {
        let (mount, kind) = line.split_once(" - ")?;
        let point = unescaped(mount.split(' ').nth(4)?);
        let is_nearer = best
            .as_ref()
            .is_none_or(|(best, _)| point.as_os_str().len() >= best.as_os_str().len());
        // Of two mounts at one path, the later one hides the other.
        if path.starts_with(&point) && is_nearer {
            best = Some((point, kind.split(' ').next()?));
        }
    }
    best.map(|(_, kind)| kind.to_owned())
}

/// Returns a path without the kernel's escapes, such as `\040` for a space.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let code = others
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if first == b'\\' => {
                bytes.push(code);
                rest = others.get(3..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_and_of_those_the_last_counts() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      2 1 0:5 / /var rw shared:1 - xfs /dev/b rw\n\
                      3 1 0:6 / /var/my\\040disk rw - btrfs /dev/c rw\n\
                      4 1 0:7 / /var rw - tmpfs none rw\n";
        let of = |path: &str| filesystem_in(mounts, Path::new(path)).unwrap();
        assert_eq!(of("/home"), "ext4");
        assert_eq!(of("/var/lib"), "tmpfs");
        assert_eq!(of("/variable"), "ext4");
        assert_eq!(of("/var/my disk/store"), "btrfs");
    }
}
