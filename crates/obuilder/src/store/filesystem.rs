//! Names of filesystems, for the numbers of the kernel.

use rustix::fs::FsWord;

/// The number of btrfs in `statfs`.
pub(super) const BTRFS: FsWord = 0x9123_683e;

/// The filesystems that a store is likely to be on, from the kernel's `magic.h` and `statfs(2)`.
const KNOWN: &[(u64, &str)] = &[
    (0xef53, "ext4 (or ext2, ext3)"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xca45_1a4e, "bcachefs"),
    (0xf2f5_2010, "f2fs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlayfs"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
    (0x4d44, "vfat"),
    (0x2011_bab0, "exfat"),
    (0x7371_7368, "squashfs"),
    (0xf15f, "ecryptfs"),
];

/// Returns the name of a filesystem with the type `kind` in `statfs`.
pub(super) fn name(kind: FsWord) -> String {
    // 32 bits as in the kernel, whatever the sign of the machine's word.
    let number = u64::from(kind as u32);
    match KNOWN.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("a filesystem of type {number:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_filesystems_have_names() {
        assert_eq!(name(0xef53), "ext4 (or ext2, ext3)");
        assert_eq!(name(0x9123_683e), "btrfs");
        assert_eq!(name(0x1234), "a filesystem of type 0x1234");
    }
}
