//! Disk usage of a snapshot that no other subvolume shares, from the tree of its files.
//!
//! The files themselves do not show it: each counts all its blocks, and most of them are shared with the base.
//! But a snapshot's tree shares with its base the parts that were written before the snapshot, and btrfs
//! records the transaction of each part. So only new parts are read, which takes a millisecond where reading
//! all files takes a second.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

use super::ioctl::{self, Item};
use crate::store::Usage;

/// The type of an item for a part of a file.
const EXTENT_DATA: u32 = 108;

/// The type of the item of a file.
const INODE: u32 = 1;

/// The size of the header of an inline item, which contains the data of the part.
const INLINE: usize = 21;

/// Returns the disk usage of the subvolume `result` that it does not share with the origin of the snapshot. Data that
/// is not written back yet does not count.
pub(super) fn usage(result: &Path) -> io::Result<Usage> {
    let file = File::open(result)?;
    let (made, is_snapshot) = ioctl::origin(&file)?;
    // A snapshot ends its transaction.
    let since = if is_snapshot {
        made.saturating_add(1)
    } else {
        0
    };
    let mut usage = Usage::default();
    let mut counted = HashSet::new();
    ioctl::search(&file, since, &mut |item| match item.kind {
        EXTENT_DATA => {
            usage.bytes = usage
                .bytes
                .saturating_add(extent(item, since, &mut counted).unwrap_or(0));
        }
        INODE if long(item.data, 0) >= Some(since) => usage.files = usage.files.saturating_add(1),
        _ => {}
    })?;
    Ok(usage)
}

/// Returns the disk usage of a part of a file, if it is new: `struct btrfs_file_extent_item`.
fn extent(item: &Item<'_>, since: u64, counted: &mut HashSet<u64>) -> Option<u64> {
    let generation = long(item.data, 0)?;
    if generation < since {
        return None;
    }
    if *item.data.get(INLINE - 1)? == 0 {
        return Some(item.data.len().saturating_sub(INLINE) as u64);
    }
    let (at, length) = (long(item.data, INLINE)?, long(item.data, INLINE + 8)?);
    // A hole has no address, and several parts may share an extent.
    (at != 0 && counted.insert(at)).then_some(length)
}

fn long(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?))
}
