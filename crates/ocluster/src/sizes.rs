//! Sizes on command lines.

use cluster_worker::{FreeThreshold, Percent};

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
pub(crate) fn disk_bytes(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    u64::try_from(bytes).map_err(|error| error.to_string())
}

/// Parses how much of a disk must be free: in percent, as `30` or `30%`, or in bytes with a unit, as `5GiB`.
pub(crate) fn free_threshold(text: &str) -> Result<FreeThreshold, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let is_size =
        text.ends_with(|c: char| c.is_ascii_alphabetic()) && number.parse::<f64>().is_err();
    if is_size {
        return Ok(FreeThreshold::Bytes(disk_bytes(text)?));
    }
    match number.trim_end().parse::<Percent>() {
        Ok(percent) => Ok(FreeThreshold::Percent(percent)),
        Err(error) => Err(error.to_string()),
    }
}

/// Parses a number of bytes, such as `8MiB`, `8M` or `8388608`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_in_percent_unless_it_has_a_unit() {
        let percent = |value| Percent::new(value).map(FreeThreshold::Percent);
        for (text, threshold) in [
            ("30", percent(30.0)),
            ("2.5", percent(2.5)),
            ("30%", percent(30.0)),
            ("5GiB", Some(FreeThreshold::Bytes(5 << 30))),
            ("500M", Some(FreeThreshold::Bytes(500 << 20))),
        ] {
            assert_eq!(free_threshold(text).ok(), threshold, "{text}");
        }
        for bad in ["", "101", "-1", "5GB", "NaN", "inf", "x", "%", "5GiB%"] {
            assert!(free_threshold(bad).is_err(), "{bad}");
        }
    }

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
}
