//! Values of settings, checked when they are parsed.

use std::str::FromStr;

use crate::disk::{Gigabytes, Percent};

/// Why a setting is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a capacity.
    #[error("invalid capacity {0:?}: it must be a number of at least 1")]
    Capacity(String),
    /// Not a percentage.
    #[error("prune_threshold must be in the range 0 to 100, not {0:?}")]
    PruneThreshold(String),
    /// Not a size.
    #[error("invalid size {0:?}: it must be a number of gigabytes, not negative")]
    Size(String),
    /// Not the URL of metrics.
    #[error("invalid metrics URL {0:?}: it must be like http://HOST:PORT/PATH")]
    MetricsUrl(String),
}

/// The total weight of the jobs that a worker runs at once. Most jobs weigh 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capacity(i32);

impl Capacity {
    /// Returns a capacity, if it is enough for a job.
    pub fn new(jobs: i32) -> Option<Self> {
        (jobs >= 1).then_some(Self(jobs))
    }

    /// Returns the number to send to the scheduler.
    pub fn value(self) -> i32 {
        self.0
    }
}

impl Default for Capacity {
    /// Returns upstream's default.
    fn default() -> Self {
        Self(10)
    }
}

impl FromStr for Capacity {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let jobs = text.parse().ok().and_then(Self::new);
        jobs.ok_or_else(|| ConfigError::Capacity(text.to_owned()))
    }
}

impl FromStr for Percent {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let percent = text.parse().ok().and_then(Self::new);
        percent.ok_or_else(|| ConfigError::PruneThreshold(text.to_owned()))
    }
}

impl FromStr for Gigabytes {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let size = text.parse().ok().and_then(Self::new);
        size.ok_or_else(|| ConfigError::Size(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use visible::{NameError, WorkerName};

    use super::{Capacity, Gigabytes, Percent};

    #[test]
    fn settings_are_checked_when_read() {
        assert_eq!(
            "w1".parse::<WorkerName>().map(|name| name.to_string()),
            Ok("w1".to_owned())
        );
        let long = "x".repeat(256);
        for (name, error) in [
            ("", NameError::Empty),
            (" ", NameError::OuterSpace),
            ("a\nb", NameError::Invisible('\n')),
            ("\u{1b}[2J", NameError::Invisible('\u{1b}')),
            (long.as_str(), NameError::TooLong(256)),
        ] {
            assert_eq!(name.parse::<WorkerName>(), Err(error));
        }
        assert_eq!("1".parse::<Capacity>().map(Capacity::value), Ok(1));
        for capacity in ["0", "-1", "x", "", "99999999999"] {
            assert!(capacity.parse::<Capacity>().is_err(), "{capacity}");
        }
        assert!("20".parse::<Percent>().is_ok() && "0.5".parse::<Gigabytes>().is_ok());
        for number in ["-1", "101", "NaN", "inf", "x"] {
            let error = number.parse::<Percent>().unwrap_err().to_string();
            assert!(
                error.starts_with("prune_threshold must be in the range 0 to 100"),
                "{error}"
            );
        }
        for number in ["-1", "NaN", "inf", "x"] {
            assert!(number.parse::<Gigabytes>().is_err(), "{number}");
        }
    }
}
