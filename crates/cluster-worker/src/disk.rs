//! How much of a file system must be free.

use std::fmt;
use std::io;
use std::path::PathBuf;

use obuilder::store::Space;
use visible::BinarySize;

/// A percentage, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percent(f64);

impl Percent {
    /// Returns `value` as a percentage, if it is one.
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=100.0).contains(&value).then_some(Self(value))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much of a file system must be free: a share of it, or an amount.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum FreeThreshold {
    /// This share of its bytes, and of its files.
    Percent(Percent),
    /// This number of bytes.
    Bytes(u64),
}

impl FreeThreshold {
    /// The default for stores, as upstream.
    pub(crate) const THIRTY_PERCENT: Self = Self::Percent(Percent(30.0));

    /// Returns whether enough is free. A full file system never has enough.
    pub fn is_met(self, space: Space) -> bool {
        let is_enough = match self {
            Self::Percent(Percent(percent)) => space.free_percent() >= percent,
            Self::Bytes(bytes) => space.free >= bytes,
        };
        is_enough && space.free_percent() > 0.0
    }
}

impl fmt::Display for FreeThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => BinarySize(*bytes).fmt(f),
        }
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
        // The conversion saturates.
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

/// Measures the file system that `path` is on.
pub(crate) async fn free_space(path: PathBuf) -> io::Result<Space> {
    // This may take long on a network file system.
    let space = tokio::task::spawn_blocking(move || Space::of(&path)).await;
    space.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use obuilder::store::Space;

    use super::{FreeThreshold, Percent, free_space};
    use crate::testing::local;

    #[test]
    fn a_threshold_is_a_share_or_an_amount() {
        let space = |free: u64, free_files| Space {
            total: 100 << 30,
            free: free << 30,
            total_files: 100,
            free_files,
        };
        let half = FreeThreshold::Percent(Percent::new(50.0).unwrap());
        assert!(half.is_met(space(50, 50)) && !half.is_met(space(49, 100)));
        assert!(!half.is_met(space(100, 49)), "files count, too");
        let amount = FreeThreshold::Bytes(28 << 30);
        assert!(amount.is_met(space(28, 1)) && !amount.is_met(space(27, 100)));
        let none = FreeThreshold::Percent(Percent::new(0.0).unwrap());
        assert!(none.is_met(space(1, 1)));
        assert!(!none.is_met(space(0, 1)) && !none.is_met(space(1, 0)));
        assert_eq!(Percent::new(f64::NAN), None);
        assert_eq!(Percent::new(100.5), None);
        assert_eq!(half.to_string(), "50%");
        assert_eq!(amount.to_string(), "28 GiB");
    }

    #[test]
    fn a_real_file_system() {
        local(async {
            let free = free_space("/".into()).await.unwrap();
            assert!((0.0..=100.0).contains(&free.free_percent()), "{free:?}");
            assert!(free_space("/nosuch".into()).await.is_err());
        });
    }
}
