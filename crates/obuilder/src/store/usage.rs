//! Disk usage of results: the space that their removal would free.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The disk usage of a result or a cache that no other shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// In bytes of the disk: holes in files do not count.
    pub bytes: u64,
    /// Number of files, directories included.
    pub files: u64,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), Add::add)
    }
}

/// The disk usage and age of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUsage {
    /// When a step last returned it.
    pub used: jiff::Timestamp,
    /// Its disk usage.
    pub usage: Usage,
}
