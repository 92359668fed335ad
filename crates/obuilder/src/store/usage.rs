//! What results take of a disk: what would be free without them.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// What something takes of a disk that nothing else shares with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// In bytes, as the filesystem has them: what is a hole in a file counts nothing.
    pub bytes: u64,
    /// How many files, directories included.
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

/// A cache, as whoever makes room sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUsage {
    /// When a step last gave it back.
    pub used: jiff::Timestamp,
    /// What it takes.
    pub usage: Usage,
}
