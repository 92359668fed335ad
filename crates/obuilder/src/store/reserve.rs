//! Room that is kept for opening a store on a disk that is full: it takes some files to open one, and then others can be
//! removed. Without it, a disk without a free inode would stay so until somebody cleaned up by hand.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::Space;
use super::error::unless;

/// How many files: a store, its database and a trivial step make some thirty.
const FILES: u64 = 64;

/// How large each of them is, in bytes.
const SIZE: u64 = 32 << 10;

/// From how much on, in percent, there is room enough without it.
const ENOUGH: f64 = 5.0;

/// The directory `reserve` of a store.
#[derive(Debug)]
pub(super) struct Reserve(PathBuf);

impl Reserve {
    pub(super) fn new(root: &Path) -> Self {
        Self(root.join("reserve"))
    }

    /// Gives the room back if there is little else.
    pub(super) fn release_if_needed(&self, space: Space) -> io::Result<()> {
        if space.free_percent() >= ENOUGH {
            return Ok(());
        }
        unless(io::ErrorKind::NotFound, fs::remove_dir_all(&self.0))
    }

    /// Takes the room again if there is enough.
    pub(super) fn keep_if_possible(&self, space: Space) -> io::Result<()> {
        if space.free_percent() < ENOUGH {
            return Ok(());
        }
        let files = (0..FILES).map(|number| self.0.join(number.to_string()));
        if files.clone().all(|file| file.exists()) {
            return Ok(());
        }
        unless(io::ErrorKind::AlreadyExists, fs::create_dir(&self.0))?;
        for file in files {
            let file = File::create(file)?;
            match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
                // Then it is files alone.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
