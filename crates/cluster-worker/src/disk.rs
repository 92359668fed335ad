//! How much of a file system is free.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A part of a whole, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// What upstream wants to be free of a store, if nothing else is said.
    pub(crate) const THIRTY: Self = Self(30.0);

    /// Returns `value` as a percentage, if it is one.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=100.0).contains(&value).then_some(Self(value))
    }

    pub(crate) fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of disk space, in units of 10⁹ bytes, as `docker` counts.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Gigabytes(f64);

impl Gigabytes {
    /// Returns `value` as an amount, if it is one.
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self(value))
    }

    /// Returns it in bytes.
    pub fn bytes(self) -> u64 {
        // Such a conversion goes to the nearest number that there is.
        (self.0 * 1e9) as u64
    }

    pub(crate) fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Gigabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is free of a file system, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FreeSpace {
    blocks: f64,
    files: f64,
}

impl FreeSpace {
    /// Returns what there is least of.
    pub(crate) fn least(self) -> f64 {
        self.blocks.min(self.files)
    }
}

impl fmt::Display for FreeSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0}% free blocks, {:.0}% free files",
            self.blocks, self.files
        )
    }
}

/// Measures the file system that `path` is on.
pub(crate) async fn free_space(path: PathBuf) -> io::Result<FreeSpace> {
    // On a network file system this may take long.
    let stat = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&path)).await;
    let stat = stat.map_err(io::Error::other)??;
    Ok(FreeSpace {
        blocks: percent_free(stat.f_blocks.saturating_sub(stat.f_bfree), stat.f_bavail),
        files: percent_free(stat.f_files.saturating_sub(stat.f_ffree), stat.f_favail),
    })
}

/// Returns what is free of what we could use: space that is reserved for root counts as neither. A file system that does
/// not count files has all of them free.
#[expect(clippy::cast_precision_loss, reason = "it is going to be a percentage")]
fn percent_free(used: u64, available: u64) -> f64 {
    if used == 0 {
        return 100.0;
    }
    let (used, available) = (used as f64, available as f64);
    100.0 - 100.0 * used / (used + available)
}

#[cfg(test)]
mod tests {
    use super::{Percent, free_space, percent_free};
    use crate::testing::local;

    #[test]
    fn percentages() {
        assert_eq!(percent_free(25, 75), 75.0);
        assert_eq!(percent_free(10, 0), 0.0);
        assert_eq!(percent_free(0, 0), 100.0);
        assert_eq!(Percent::new(f64::NAN), None);
        assert_eq!(Percent::new(100.5), None);
        assert!(Percent::new(0.0).is_some());
    }

    #[test]
    fn a_real_file_system() {
        local(async {
            let free = free_space("/".into()).await.unwrap();
            assert!((0.0..=100.0).contains(&free.least()), "{free}");
            assert!(free_space("/nosuch".into()).await.is_err());
        });
    }
}
