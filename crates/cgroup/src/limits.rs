//! Limits of groups.

use std::fmt;
use std::str::FromStr;

/// The limits of one group. Without a limit, it may use as much as its parent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Memory, including page cache that cannot be freed. The group gets no swap.
    pub memory: Option<MemoryLimit>,
    /// Processes and threads together, as the kernel counts them.
    pub pids: Option<PidLimit>,
    /// Processor time.
    pub cpus: Option<CpuLimit>,
}

impl Limits {
    /// Returns whether there is no limit.
    pub fn is_empty(&self) -> bool {
        let Self { memory, pids, cpus } = self;
        memory.is_none() && pids.is_none() && cpus.is_none()
    }
}

/// An amount of memory in bytes, at least [`MemoryLimit::MIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryLimit(u64);

impl MemoryLimit {
    /// The least memory with which a shell and a compiler start: 16 MiB.
    pub const MIN: u64 = 16 << 20;

    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// The units of a size, largest first: the name and the number of bytes.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for MemoryLimit {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, ParseLimitError> {
        let error = || ParseLimitError::Memory(text.to_owned());
        let unit = UNITS
            .iter()
            .find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
        let (number, unit) = unit.ok_or_else(error)?;
        let bytes = match number.trim_end().parse::<u64>() {
            Ok(number) => number.checked_mul(unit),
            Err(_) => fraction(number.trim_end(), unit),
        };
        let bytes = bytes.filter(|bytes| (Self::MIN..=i64::MAX.unsigned_abs()).contains(bytes));
        bytes.map(Self).ok_or_else(error)
    }
}

/// Returns a decimal fraction of a unit, such as `1.5`, in bytes.
fn fraction(number: &str, unit: u64) -> Option<u64> {
    let (whole, rest) = number.split_once('.')?;
    let digits = u32::try_from(rest.len())
        .ok()
        .filter(|digits| (1..=6).contains(digits))?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(rest) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let rest = rest.parse::<u64>().ok()?.checked_mul(unit)? / 10_u64.pow(digits);
    whole.checked_add(rest)
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In the unit that gives the smallest whole number, as it was most likely written.
        let whole = UNITS
            .iter()
            .filter(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let unit = whole.min_by_key(|(_, bytes)| self.0 / bytes);
        let (name, bytes) = unit.unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

/// A number of processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PidLimit(u32);

impl PidLimit {
    /// Fewer than a fork bomb starts, and more than any known build.
    pub const DEFAULT: Self = Self(32_768);
    /// The least number with which a sandbox and a shell with a pipeline work.
    const MIN: u32 = 16;

    /// Returns the number.
    pub fn count(self) -> u32 {
        self.0
    }
}

impl Default for PidLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for PidLimit {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, ParseLimitError> {
        // The kernel's maximum.
        let valid = |count: &u32| (Self::MIN..=1 << 22).contains(count);
        let count = text.parse().ok().filter(valid);
        count
            .map(Self)
            .ok_or_else(|| ParseLimitError::Pids(text.to_owned()))
    }
}

impl fmt::Display for PidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share of processor time, in thousandths of a processor: 1500 is one and a half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuLimit(u32);

impl CpuLimit {
    /// The kernel's accounting period, in microseconds. This is its default.
    pub const PERIOD: u64 = 100_000;

    /// Returns the processor time in each [`PERIOD`](Self::PERIOD), in microseconds.
    pub fn quota(self) -> u64 {
        u64::from(self.0) * Self::PERIOD / 1000
    }
}

impl FromStr for CpuLimit {
    type Err = ParseLimitError;

    fn from_str(text: &str) -> Result<Self, ParseLimitError> {
        let thousandths = match text.parse::<u32>() {
            Ok(whole) => Some(u64::from(whole) * 1000),
            Err(_) => fraction(text, 1000),
        };
        // The kernel refuses a quota of less than a millisecond.
        let valid = thousandths.filter(|thousandths| (10..=1_000_000).contains(thousandths));
        let valid = valid.and_then(|thousandths| u32::try_from(thousandths).ok());
        valid
            .map(Self)
            .ok_or_else(|| ParseLimitError::Cpus(text.to_owned()))
    }
}

impl fmt::Display for CpuLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 {
            return whole.fmt(f);
        }
        let digits = format!("{rest:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseLimitError {
    /// It is no amount of memory, or too small.
    #[error(
        "invalid size {0:?}: write a number and a unit, such as 512MiB or 4GiB, of at least 16MiB"
    )]
    Memory(String),
    /// It is no number of processes, or out of range.
    #[error("invalid number of processes {0:?}: it must be from 16 to 4194304")]
    Pids(String),
    /// It is no number of processors, or out of range.
    #[error("invalid number of processors {0:?}: it must be from 0.01 to 1000, such as 2 or 1.5")]
    Cpus(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown() {
        let memory = |text: &str| {
            text.parse::<MemoryLimit>()
                .map(|limit| (limit.bytes(), limit.to_string()))
        };
        assert_eq!(memory("4GiB"), Ok((4 << 30, "4GiB".to_owned())));
        assert_eq!(memory("1.5GiB"), Ok((3 << 29, "1536MiB".to_owned())));
        assert_eq!(memory("2GB"), Ok((2_000_000_000, "2GB".to_owned())));
        for bad in [
            "",
            "4",
            "GiB",
            "4G",
            "-1GiB",
            "1MiB",
            "1.GiB",
            "99999999999TiB",
            "1e3GiB",
            "+.5GiB",
        ] {
            assert!(memory(bad).is_err(), "{bad}");
        }
        let pids = |text: &str| text.parse::<PidLimit>().map(PidLimit::count);
        assert_eq!(pids("1000"), Ok(1000));
        for bad in ["0", "15", "4194305", "many"] {
            assert!(pids(bad).is_err(), "{bad}");
        }
        let cpus = |text: &str| {
            text.parse::<CpuLimit>()
                .map(|limit| (limit.quota(), limit.to_string()))
        };
        assert_eq!(cpus("2"), Ok((200_000, "2".to_owned())));
        assert_eq!(cpus("1.50"), Ok((150_000, "1.5".to_owned())));
        for bad in ["0", "0.001", "1001", "inf", "-1", "1e2"] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
    }
}
