//! Numbers of bytes.

use core::fmt;

/// How many bytes something has, rounded: `999 bytes`, `12.3 kB`, `4.4 MB`.
///
/// The units are powers of 1000, as Docker and most tools count what they transfer and store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// How many bytes of a disk or of memory there are, rounded down: `1023 bytes`, `4.9 GiB`.
///
/// The units are powers of 1024, in which options set limits. Too little is never shown as enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinarySize(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        let Self(bytes) = *self;
        if bytes < 1000 {
            return write!(f, "{bytes} bytes");
        }
        // A double has more digits than are shown.
        let mut value = bytes as f64 / 1000.0;
        let mut units = UNITS.into_iter();
        let mut unit = units.next().unwrap_or_default();
        for larger in units {
            // What would be shown as 1000.0 is one of the next.
            if value < 999.95 {
                break;
            }
            value /= 1000.0;
            unit = larger;
        }
        write!(f, "{value:.1} {unit}")
    }
}

impl fmt::Display for BinarySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] = [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        let Self(bytes) = *self;
        let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| bytes >= *size) else {
            return write!(f, "{bytes} bytes");
        };
        let (whole, tenth) = (bytes / size, bytes % size * 10 / size);
        if tenth == 0 || whole >= 100 {
            write!(f, "{whole} {unit}")
        } else {
            write!(f, "{whole}.{tenth} {unit}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (12_345, "12.3 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (2_007_040, "2.0 MB"),
            (12_345_678, "12.3 MB"),
            (40_100_000_000, "40.1 GB"),
            (123_456_789_012, "123.5 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn binary_sizes_are_rounded_down() {
        let shown =
            [0, 1023, 2048, (5 << 30) - 1, 5 << 30, 1 << 40].map(|n| BinarySize(n).to_string());
        assert_eq!(
            shown,
            [
                "0 bytes",
                "1023 bytes",
                "2 KiB",
                "4.9 GiB",
                "5 GiB",
                "1 TiB"
            ]
        );
    }
}
