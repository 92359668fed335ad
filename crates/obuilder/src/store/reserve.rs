//! Reserved room for opening a store on a full disk: opening it creates some files, and then results can be removed.
//! Without it, a disk without a free inode would have to be cleaned up by hand.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::Space;
use super::error::ignore;

/// Number of reserved files: a store, its database and a trivial step need some thirty.
const FILES: u64 = 64;

/// Size of each of them, in bytes.
const SIZE: u64 = 32 << 10;

/// The free space, in percent, from which on the reserve is not needed.
const ENOUGH: f64 = 5.0;

/// The directory `reserve` of a store.
#[derive(Debug)]
pub(super) struct Reserve(PathBuf);

impl Reserve {
    pub(super) fn new(root: &Path) -> Self {
        Self(root.join("reserve"))
    }

    /// Releases the room if there is little other room.
    pub(super) fn release_if_needed(&self, space: Space) -> io::Result<()> {
        if space.free_percent() >= ENOUGH {
            return Ok(());
        }
        ignore(io::ErrorKind::NotFound, fs::remove_dir_all(&self.0))
    }

    /// Reserves the room if there is enough.
    pub(super) fn keep_if_possible(&self, space: Space) -> io::Result<()> {
        if space.free_percent() < ENOUGH {
            return Ok(());
        }
        let files = (0..FILES).map(|number| self.0.join(number.to_string()));
        if files.clone().all(|file| file.exists()) {
            return Ok(());
        }
        ignore(io::ErrorKind::AlreadyExists, fs::create_dir(&self.0))?;
        for file in files {
            let file = File::create(file)?;
            match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
                // Without support it reserves files only.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
