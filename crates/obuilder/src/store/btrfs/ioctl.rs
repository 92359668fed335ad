//! The system calls of btrfs, as defined in `linux/btrfs.h`.
//!
//! There are no safe wrappers for these calls, and the program `btrfs` takes longer to start than they take.

#![expect(unsafe_code, reason = "the ioctls of btrfs have no safe wrappers")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

use rustix::io::Errno;
use rustix::ioctl::{Getter, NoArg, Opcode, Setter, Updater, ioctl, opcode};

const MAGIC: u8 = 0x94;
const SYNC: Opcode = opcode::none(MAGIC, 8);
const DESTROY: Opcode = opcode::write::<Name>(MAGIC, 15);
const SEARCH: Opcode = opcode::read_write::<Search>(MAGIC, 17);
const SNAPSHOT: Opcode = opcode::write::<Copy>(MAGIC, 23);
const CREATE: Opcode = opcode::write::<Copy>(MAGIC, 24);
const INFORM: Opcode = opcode::read::<Information>(MAGIC, 60);
const WAIT: Opcode = opcode::write::<Wait>(MAGIC, 65);

/// Requests the number of subvolumes that are being deleted.
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

/// `struct btrfs_ioctl_search_args`
#[repr(C)]
struct Search {
    tree: u64,
    min_object: u64,
    max_object: u64,
    min_offset: u64,
    max_offset: u64,
    min_transaction: u64,
    max_transaction: u64,
    min_type: u32,
    max_type: u32,
    count: u32,
    unused: u32,
    reserved: [u64; 4],
    found: [u8; FOUND],
}

/// How many bytes a search can return at a time.
const FOUND: usize = 3992;

/// `struct btrfs_ioctl_get_subvol_info_args`
#[repr(C)]
struct Information {
    tree: u64,
    name: [u8; 256],
    parent: u64,
    directory: u64,
    generation: u64,
    flags: u64,
    uuid: [u8; 16],
    parent_uuid: [u8; 16],
    received_uuid: [u8; 16],
    changed: u64,
    created: u64,
    sent: u64,
    received: u64,
    times: [(u64, u32); 4],
    reserved: [u64; 8],
}

/// Returns the transaction in which the subvolume of a file was created, and whether it is a snapshot.
pub(super) fn origin(file: &File) -> io::Result<(u64, bool)> {
    // SAFETY: the number is that of BTRFS_IOC_GET_SUBVOL_INFO, which fills the structure `Information`, for which
    // any bytes are valid.
    let info = unsafe { ioctl(file, Getter::<INFORM, Information>::new()) }?;
    Ok((info.created, info.parent_uuid != [0; 16]))
}

/// An item of a tree: its key and its data.
pub(super) struct Item<'a> {
    pub(super) object: u64,
    pub(super) kind: u32,
    pub(super) offset: u64,
    pub(super) data: &'a [u8],
}

/// Calls `visit` with the items of the files in the subvolume of `file`, as far as they are in a part of its tree that
/// was written in the transaction `since` or later. Older parts, which may be most of the tree, are not read.
pub(super) fn search(file: &File, since: u64, visit: &mut dyn FnMut(&Item<'_>)) -> io::Result<()> {
    /// The first number that a file may have, and the last.
    const FILES: (u64, u64) = (256, u64::MAX - 255);
    let mut next = (FILES.0, 0, 0);
    loop {
        let mut search = Search {
            tree: 0,
            min_object: next.0,
            max_object: FILES.1,
            min_offset: next.2,
            max_offset: u64::MAX,
            min_transaction: since,
            max_transaction: u64::MAX,
            min_type: next.1,
            max_type: u32::from(u8::MAX),
            count: u32::MAX,
            unused: 0,
            reserved: [0; 4],
            found: [0; FOUND],
        };
        // SAFETY: the number is that of BTRFS_IOC_TREE_SEARCH, which reads and writes the structure `Search`, for which
        // any bytes are valid.
        unsafe { ioctl(file, Updater::<SEARCH, Search>::new(&mut search)) }?;
        if search.count == 0 {
            return Ok(());
        }
        let mut rest = search.found.as_slice();
        for _ in 0..search.count {
            let Some(item) = take_item(&mut rest) else {
                return Err(io::Error::other("btrfs returned an incomplete item"));
            };
            visit(&item);
            next = (item.object, item.kind, item.offset);
        }
        next = match next {
            (object, kind, offset) if offset < u64::MAX => (object, kind, offset + 1),
            (object, kind, _) if kind < u32::from(u8::MAX) => (object, kind + 1, 0),
            (object, _, _) => (object.saturating_add(1), 0, 0),
        };
    }
}

/// Takes an item from the output of a search: `struct btrfs_ioctl_search_header`, and the data.
fn take_item<'a>(found: &mut &'a [u8]) -> Option<Item<'a>> {
    let (header, rest) = found.split_at_checked(32)?;
    let long = |at: usize| Some(u64::from_ne_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let int = |at: usize| Some(u32::from_ne_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let (data, rest) = rest.split_at_checked(usize::try_from(int(28)?).ok()?)?;
    *found = rest;
    Some(Item {
        object: long(8)?,
        offset: long(16)?,
        kind: int(24)?,
        data,
    })
}

/// Makes the empty subvolume `name` in `dir`.
pub(super) fn create(dir: &File, name: &OsStr) -> io::Result<()> {
    let arguments = Copy::new(0, name)?;
    // SAFETY: the number is that of BTRFS_IOC_SUBVOL_CREATE_V2, which reads the structure `Copy`, whose name ends with
    // a zero. On another filesystem the call fails.
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
    // SAFETY: the number is that of BTRFS_IOC_SNAP_DESTROY, which reads the structure `Name`, whose name ends with a
    // zero.
    let done = unsafe { ioctl(dir, Setter::<DESTROY, Name>::new(arguments)) };
    Ok(done?)
}

/// Syncs the filesystem, which only then frees deleted subvolumes.
pub(super) fn sync(root: &File) -> io::Result<()> {
    // SAFETY: the number is that of BTRFS_IOC_SYNC, which takes no argument.
    let done = unsafe { ioctl(root, NoArg::<SYNC>::new()) };
    Ok(done?)
}

/// Returns how many deleted subvolumes of the filesystem still take space. Kernels before 6.13 report none.
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
    use super::{
        CREATE, Copy, DESTROY, INFORM, Information, Name, SEARCH, SNAPSHOT, SYNC, Search, WAIT,
        Wait,
    };

    /// The numbers hold the sizes, so what does not fit the kernel's structure would be no call of btrfs.
    #[test]
    fn the_numbers_are_those_of_the_kernels_header() {
        assert_eq!(size_of::<Name>(), 4096);
        assert_eq!(size_of::<Copy>(), 4096);
        assert_eq!(size_of::<Wait>(), 16);
        assert_eq!(size_of::<Search>(), 4096);
        assert_eq!(size_of::<Information>(), 504);
        let numbers = [SYNC, DESTROY, SNAPSHOT, CREATE, WAIT, SEARCH, INFORM];
        let expected = [
            0x9408,
            0x5000_940f,
            0x5000_9417,
            0x5000_9418,
            0x4010_9441,
            0xd000_9411,
            0x81f8_943c,
        ];
        assert_eq!(numbers, expected);
    }
}
