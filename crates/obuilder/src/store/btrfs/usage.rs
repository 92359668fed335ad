//! What a snapshot takes that is its own, as the tree of its files tells.
//!
//! By the files themselves it cannot be told: each says that it takes all its blocks, and most of them are the base's too. But a
//! snapshot's tree shares with its base what was written before it was made, and btrfs keeps with each part of a tree when that
//! was. So only what is new is read, which takes a millisecond where looking at all files takes a second.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

use super::ioctl::{self, Item};
use crate::store::Usage;

/// The type of an item that says where a part of a file is.
const EXTENT_DATA: u32 = 108;

/// The type of the item of a file.
const INODE: u32 = 1;

/// What an item of a file's part is as long as, if what is in the part is in the item.
const INLINE: usize = 21;

/// Returns what the subvolume `result` takes that it does not share with what it is a snapshot of. What is not written back yet
/// takes nothing.
pub(super) fn usage(result: &Path) -> io::Result<Usage> {
    let file = File::open(result)?;
    let (made, is_snapshot) = ioctl::origin(&file)?;
    // A snapshot is what ends its transaction.
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

/// Returns what a part of a file takes, if it is new: `struct btrfs_file_extent_item`.
fn extent(item: &Item<'_>, since: u64, counted: &mut HashSet<u64>) -> Option<u64> {
    let generation = long(item.data, 0)?;
    if generation < since {
        return None;
    }
    if *item.data.get(INLINE - 1)? == 0 {
        return Some(item.data.len().saturating_sub(INLINE) as u64);
    }
    let (at, length) = (long(item.data, INLINE)?, long(item.data, INLINE + 8)?);
    // A hole is nowhere, and several parts may be of one piece.
    (at != 0 && counted.insert(at)).then_some(length)
}

fn long(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?))
}
