//! How long something took or lasts.

use core::fmt;
use core::time::Duration;

/// A length of time in a sentence: `0.3 s`, `37 s`, `2 min 7 s` or `1 h 2 min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(pub Duration);

/// A length of time in a table, in its two largest units: `45s`, `2m10s`, `1h05m` or `3d04h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactElapsed(pub Duration);

impl Elapsed {
    /// Returns a number of seconds as a length of time. What is negative, infinite or NaN counts as 0.
    pub fn from_seconds(seconds: f64) -> Self {
        Self(duration(seconds))
    }
}

impl CompactElapsed {
    /// Returns a number of seconds as a length of time. What is negative, infinite or NaN counts as 0.
    pub fn from_seconds(seconds: f64) -> Self {
        Self(duration(seconds))
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        // Fractions matter only where there is little else.
        let tenths = (millis + 50) / 100;
        if tenths < 100 {
            return write!(f, "{}.{} s", tenths / 10, tenths % 10);
        }
        let seconds = (millis + 500) / 1000;
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => write!(f, "{seconds} s"),
            (0, minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
            (hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

impl fmt::Display for CompactElapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let seconds = self.0.as_secs();
        match seconds {
            0..MINUTE => write!(f, "{seconds}s"),
            MINUTE..HOUR => write!(f, "{}m{:02}s", seconds / MINUTE, seconds % MINUTE),
            HOUR..DAY => write!(f, "{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
            _ => write!(f, "{}d{:02}h", seconds / DAY, seconds % DAY / HOUR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_few_digits() {
        for (seconds, text) in [
            (0.0, "0.0 s"),
            (2.04, "2.0 s"),
            (9.949, "9.9 s"),
            (9.96, "10 s"),
            (12.399, "12 s"),
            (59.4, "59 s"),
            (59.999, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (127.0, "2 min 7 s"),
            (3720.0, "1 h 2 min"),
            (3901.0, "1 h 5 min"),
            (-1.0, "0.0 s"),
            (f64::INFINITY, "0.0 s"),
        ] {
            assert_eq!(Elapsed::from_seconds(seconds).to_string(), text);
        }
        assert!(
            Elapsed(Duration::MAX)
                .to_string()
                .starts_with("5124095576030431 h ")
        );
    }

    #[test]
    fn a_table_has_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (127, "2m07s"),
            (130, "2m10s"),
            (3600, "1h00m"),
            (3900, "1h05m"),
            (86_399, "23h59m"),
            (100_000, "1d03h"),
            (3 * 86_400 + 4 * 3600, "3d04h"),
        ] {
            let elapsed = CompactElapsed(Duration::from_secs(seconds));
            assert_eq!(elapsed.to_string(), text);
        }
        assert_eq!(CompactElapsed::from_seconds(61.9).to_string(), "1m01s");
        assert_eq!(CompactElapsed::from_seconds(f64::NAN).to_string(), "0s");
    }
}
