//! How long something took, as people read it.

use core::fmt;
use core::time::Duration;

/// A time that something took: `0.3 s`, `12.3 s`, `2 min 7 s` or `1 h 2 min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            // To the tenth, rounded down: nothing is said to have taken 60.0 seconds.
            (0, 0, seconds) => write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100),
            (0, minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
            (hours, minutes, _) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (millis, text) in [
            (0, "0.0 s"),
            (12_399, "12.3 s"),
            (59_999, "59.9 s"),
            (127_000, "2 min 7 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(Elapsed(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
