//! Sizes and times on command lines.

use std::time::Duration;

/// The units that may follow a number, and their bytes.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
];

/// Parses a number of bytes for a disk, such as `5GiB`.
///
/// # Errors
/// If it is not a size, with the reason.
pub fn disk_bytes(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    u64::try_from(bytes).map_err(|error| error.to_string())
}

/// Parses a number of bytes, such as `8MiB`, `8M` or `8388608`.
///
/// # Errors
/// If it is not a size, with the reason.
pub fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let bytes = number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, (_, factor))| number.checked_mul(*factor))
        .and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        format!("{text:?} is not a size; use a number of bytes, or a number followed by K, M, G, KiB, MiB or GiB")
    })
}

/// The longest time that is accepted: a year, which clocks can add without overflow.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a time in seconds.
///
/// # Errors
/// If it is not a time of at most a year, with the reason.
pub fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().ok();
    let time = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{value:?} is not a number of seconds"))?;
    if time > MAX_TIME {
        return Err(format!(
            "{value} seconds is more than a year ({} seconds)",
            MAX_TIME.as_secs()
        ));
    }
    Ok(time)
}

/// The units that may follow the number of a length of time, and their seconds.
const TIMES: &[(&str, u64)] = &[
    ("", 1),
    ("s", 1),
    ("m", 60),
    ("h", 3600),
    ("d", 24 * 3600),
    ("w", 7 * 24 * 3600),
];

/// Parses a length of time such as `90`, `30m`, `12h` or `7d`.
///
/// # Errors
/// If it is none, or longer than a century.
pub fn age(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let factor = TIMES.iter().find(|(name, _)| *name == unit);
    let seconds = number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, (_, factor))| number.checked_mul(*factor))
        .filter(|seconds| *seconds <= 100 * MAX_TIME.as_secs());
    seconds.map(Duration::from_secs).ok_or_else(|| {
        format!("{text:?} is not a length of time; use a number followed by s, m, h, d or w")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        for (text, size) in [
            ("0", 0),
            ("8388608", 8 << 20),
            ("8M", 8 << 20),
            ("8MiB", 8 << 20),
            ("8 MiB", 8 << 20),
            ("1G", 1 << 30),
            ("3KiB", 3072),
        ] {
            assert_eq!(bytes(text), Ok(size));
        }
        assert_eq!(disk_bytes("5GiB"), Ok(5 << 30));
        for bad in ["", "MiB", "-1", "1.5G", "8MB", "8m", "99999999999T", "1e9"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ages_have_units() {
        for (text, seconds) in [
            ("90", 90),
            ("0s", 0),
            ("30m", 1800),
            ("12h", 43_200),
            ("7d", 604_800),
        ] {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "m", "-1h", "1.5h", "1y", "9999999w"] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_between_zero_and_a_year() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["1e19", "31536001", "-1", "nan", "inf", "soon"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
