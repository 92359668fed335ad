//! Sizes as people write them.

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
        format!("{text:?} is not a size; use a number of bytes, or one with K, M, G, KiB, MiB or GiB behind it")
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
        for bad in ["", "MiB", "-1", "1.5G", "8MB", "8m", "99999999999T", "1e9"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
