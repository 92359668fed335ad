//! The disk of the database, which can be full.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The file that takes all the room of a disk.
pub(super) struct Filler(PathBuf);

impl Filler {
    /// Leaves no room on the disk that is mounted there.
    pub(super) fn fill(disk: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot fill the disk: {error}");
        let path = disk.join("filler");
        let mut file = File::create(&path).map_err(failed)?;
        let filler = Self(path);
        let mut end = 0;
        // What is free is not all for files.
        while let Ok(state) = statvfs(disk)
            && let room = state.f_bfree * state.f_frsize / 2
            && room > 1 << 16
        {
            match fallocate(&file, FallocateFlags::empty(), end, room) {
                Ok(()) => end += room,
                Err(rustix::io::Errno::NOSPC) => break,
                Err(error) => return Err(failed(error.into())),
            }
        }
        let zeros = vec![0; 4096];
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(failed)?;
        loop {
            match file.write_all(&zeros) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(filler),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Makes room again.
    pub(super) fn remove(self) -> Result<(), String> {
        fs::remove_file(&self.0).map_err(|error| format!("cannot make room: {error}"))
    }
}
