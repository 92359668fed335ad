//! A disk in a file, for tests that need a certain filesystem or a small one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::checked;
use crate::holder::Holder;
use crate::name::Name;

/// The size below which the documentation of btrfs recommends mixed block groups.
const SMALL: u64 = 1 << 30;

/// The filesystem of a [`LoopDisk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// Without space reserved for root, so that a full disk is full for tests, too.
    Ext4,
    /// A small disk has mixed block groups; otherwise it would run out of space for data or metadata first.
    Btrfs,
    /// With reflinks, as by default today.
    Xfs,
}

impl Filesystem {
    /// Returns the command that creates it, without the file.
    fn mkfs(self, size: u64) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["mkfs.ext4", "-q", "-F", "-m", "0"],
            Self::Btrfs if size < SMALL => &["mkfs.btrfs", "-q", "-f", "--mixed"],
            Self::Btrfs => &["mkfs.btrfs", "-q", "-f"],
            Self::Xfs => &["mkfs.xfs", "-q", "-f", "-m", "reflink=1"],
        }
    }
}

/// A mounted disk. It is removed when this is dropped, or when the program that holds it ends, even if it is killed.
#[derive(Debug)]
pub struct LoopDisk {
    path: PathBuf,
    holder: Holder,
}

impl LoopDisk {
    /// Makes a sparse disk of `size` bytes. The minimum is 300 MB for XFS and 110 MB for btrfs.
    ///
    /// # Errors
    /// When this user is not root, or a program is missing.
    pub fn new(filesystem: Filesystem, size: u64) -> Result<Self> {
        Self::make(filesystem, size, &[])
    }

    /// Makes an ext4 disk of `size` bytes that can have no more than `files` files.
    ///
    /// # Errors
    /// When this user is not root, or a program is missing.
    pub fn with_files(size: u64, files: u32) -> Result<Self> {
        Self::make(Filesystem::Ext4, size, &["-N", &files.to_string()])
    }

    /// Makes an ext4 disk of `size` bytes, of which a part is reserved for root.
    ///
    /// # Errors
    /// When this user is not root, or a program is missing.
    pub fn with_reserved(size: u64, percent: u8) -> Result<Self> {
        Self::make(Filesystem::Ext4, size, &["-m", &percent.to_string()])
    }

    fn make(filesystem: Filesystem, size: u64, more: &[&str]) -> Result<Self> {
        let holder = Holder::start(&Name::new()?)?;
        let file = holder.folder().join("disk");
        File::create(&file)?.set_len(size)?;
        let path = holder.folder().join("mount");
        fs::create_dir(&path)?;
        let [program, options @ ..] = filesystem.mkfs(size) else {
            unreachable!("each has a program")
        };
        checked(Command::new(program).args(options).args(more).arg(&file))
            .with_context(|| format!("cannot make a disk with {program}"))?;
        // Lazily and with all mounts inside, because a test may end at any point. The loop device, which `mount`
        // creates, is removed with the last mount.
        let undo = format!(
            "while mountpoint -q {0}; do umount --lazy --recursive {0} || exit; done",
            path.display()
        );
        holder.undo(&["sh", "-c", &undo])?;
        checked(
            Command::new("mount")
                .args(["-o", "loop"])
                .args([&file, &path]),
        )?;
        Ok(Self { path, holder })
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its holder, for processes that must end before it is unmounted.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }
}
