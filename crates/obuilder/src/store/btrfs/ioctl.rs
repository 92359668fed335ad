//! What btrfs does beyond the calls that all filesystems have, as its `linux/btrfs.h` defines it.
//!
//! There is no safe way to these calls, and no other way than a program, which takes longer to start than they take.

#![expect(unsafe_code, reason = "the ioctls of btrfs have no safe wrappers")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

use rustix::io::Errno;
use rustix::ioctl::{NoArg, Opcode, Setter, Updater, ioctl, opcode};

const MAGIC: u8 = 0x94;
const SYNC: Opcode = opcode::none(MAGIC, 8);
const DESTROY: Opcode = opcode::write::<Name>(MAGIC, 15);
const SNAPSHOT: Opcode = opcode::write::<Copy>(MAGIC, 23);
const CREATE: Opcode = opcode::write::<Copy>(MAGIC, 24);
const WAIT: Opcode = opcode::write::<Wait>(MAGIC, 65);

/// Asks how many subvolumes are being deleted.
const COUNT: u32 = 2;

/// `struct btrfs_ioctl_vol_args`
#[repr(C)]
struct Name {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`
#[repr(C)]
struct Copy {
    fd: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `struct btrfs_ioctl_subvol_wait`
#[repr(C)]
struct Wait {
    subvolume: u64,
    mode: u32,
    count: u32,
}

/// Makes the empty subvolume `name` in `dir`.
pub(super) fn create(dir: &File, name: &OsStr) -> io::Result<()> {
    let arguments = Copy::new(0, name)?;
    // SAFETY: the number is that of BTRFS_IOC_SUBVOL_CREATE_V2, which reads the structure that `Copy` is, whose name ends
    // with a zero. On another filesystem the call fails.
    let done = unsafe { ioctl(dir, Setter::<CREATE, Copy>::new(arguments)) };
    Ok(done?)
}

/// Makes the subvolume `name` in `dir`, a writable snapshot of `source`.
pub(super) fn snapshot(source: &File, dir: &File, name: &OsStr) -> io::Result<()> {
    let arguments = Copy::new(i64::from(source.as_raw_fd()), name)?;
    // SAFETY: as in `create`, for BTRFS_IOC_SNAP_CREATE_V2; `source` is open until after the call.
    let done = unsafe { ioctl(dir, Setter::<SNAPSHOT, Copy>::new(arguments)) };
    Ok(done?)
}

/// Deletes the subvolume `name` in `dir`.
pub(super) fn destroy(dir: &File, name: &OsStr) -> io::Result<()> {
    let arguments = Name {
        fd: 0,
        name: zero_ended(name)?,
    };
    // SAFETY: the number is that of BTRFS_IOC_SNAP_DESTROY, which reads the structure that `Name` is, whose name ends with
    // a zero.
    let done = unsafe { ioctl(dir, Setter::<DESTROY, Name>::new(arguments)) };
    Ok(done?)
}

/// Writes everything to the disk, and has the filesystem free what was deleted, which it does only then.
pub(super) fn sync(root: &File) -> io::Result<()> {
    // SAFETY: the number is that of BTRFS_IOC_SYNC, which takes no argument.
    let done = unsafe { ioctl(root, NoArg::<SYNC>::new()) };
    Ok(done?)
}

/// Returns how many deleted subvolumes of the filesystem still take space. None, as far as a kernel before 6.13 says.
pub(super) fn being_deleted(root: &File) -> io::Result<usize> {
    let mut wait = Wait {
        subvolume: 0,
        mode: COUNT,
        count: 0,
    };
    // SAFETY: the number is that of BTRFS_IOC_SUBVOL_SYNC_WAIT, which reads and writes the structure that `Wait` is.
    match unsafe { ioctl(root, Updater::<WAIT, Wait>::new(&mut wait)) } {
        Ok(()) => Ok(usize::try_from(wait.count).unwrap_or(usize::MAX)),
        Err(Errno::NOTTY) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

impl Copy {
    fn new(fd: i64, name: &OsStr) -> io::Result<Self> {
        Ok(Self {
            fd,
            transaction: 0,
            flags: 0,
            unused: [0; 4],
            name: zero_ended(name)?,
        })
    }
}

fn zero_ended<const LENGTH: usize>(name: &OsStr) -> io::Result<[u8; LENGTH]> {
    let name = name.as_bytes();
    let mut padded = [0; LENGTH];
    // One byte stays zero.
    match padded.get_mut(..name.len()) {
        Some(start) if name.len() < LENGTH => start.copy_from_slice(name),
        _ => return Err(io::ErrorKind::InvalidFilename.into()),
    }
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::{CREATE, Copy, DESTROY, Name, SNAPSHOT, SYNC, WAIT, Wait};

    /// The numbers hold the sizes, so what does not fit the kernel's structure would be no call of btrfs.
    #[test]
    fn the_numbers_are_those_of_the_kernels_header() {
        assert_eq!(size_of::<Name>(), 4096);
        assert_eq!(size_of::<Copy>(), 4096);
        assert_eq!(size_of::<Wait>(), 16);
        let numbers = [SYNC, DESTROY, SNAPSHOT, CREATE, WAIT];
        let expected = [0x9408, 0x5000_940f, 0x5000_9417, 0x5000_9418, 0x4010_9441];
        assert_eq!(numbers, expected);
    }
}
