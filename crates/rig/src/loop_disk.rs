//! A disk in a file, with a filesystem of its own, for tests that want one of a kind, or a small one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::checked;
use crate::holder::{Holder, Name};

/// The size below which the makers of btrfs advise against keeping data and metadata apart.
const SMALL: u64 = 1 << 30;

/// A filesystem that a [`LoopDisk`] may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// Without room set aside for root, so that a full disk is full for tests too.
    Ext4,
    /// With data and metadata in the same place on a small disk, which else runs out of room for one of them first.
    Btrfs,
    /// With reflinks, as it is made today.
    Xfs,
}

impl Filesystem {
    /// Returns the command that makes it, but for the file.
    fn mkfs(self, size: u64) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["mkfs.ext4", "-q", "-F", "-m", "0"],
            Self::Btrfs if size < SMALL => &["mkfs.btrfs", "-q", "-f", "--mixed"],
            Self::Btrfs => &["mkfs.btrfs", "-q", "-f"],
            Self::Xfs => &["mkfs.xfs", "-q", "-f", "-m", "reflink=1"],
        }
    }
}

/// A mounted disk. It goes when this does, or the program that holds it, however that ends.
#[derive(Debug)]
pub struct LoopDisk {
    path: PathBuf,
    holder: Holder,
}

impl LoopDisk {
    /// Makes a disk of `size` bytes, which takes only the space that is written to. Linux's smallest: 300 MB for XFS,
    /// 110 MB for btrfs.
    ///
    /// # Errors
    /// When we are not root, or a program is missing.
    pub fn new(filesystem: Filesystem, size: u64) -> Result<Self> {
        Self::make(filesystem, size, &[])
    }

    /// Makes an ext4 disk of `size` bytes that can have no more than `files` files.
    ///
    /// # Errors
    /// When we are not root, or a program is missing.
    pub fn with_files(size: u64, files: u32) -> Result<Self> {
        Self::make(Filesystem::Ext4, size, &["-N", &files.to_string()])
    }

    /// Makes an ext4 disk of `size` bytes, of which a part is set aside for root.
    ///
    /// # Errors
    /// When we are not root, or a program is missing.
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
        // Lazily and with what is mounted inside, for a test may have ended at any point. The loop device, which
        // `mount` makes, goes with the last mount.
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

    /// Returns what holds it, for processes that must end before it is unmounted.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }
}
