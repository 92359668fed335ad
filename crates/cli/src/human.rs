//! Numbers and tables for people.

use std::time::Duration;

/// Returns a duration in its two largest units: `45s`, `2m10s`, `1h05m`, `3d04h`.
pub fn duration(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = duration.as_secs();
    let two = |larger, large: char, smaller, small: char| {
        let rest = seconds % larger / smaller;
        format!("{}{large}{rest:02}{small}", seconds / larger)
    };
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => two(MINUTE, 'm', 1, 's'),
        HOUR..DAY => two(HOUR, 'h', MINUTE, 'm'),
        _ => two(DAY, 'd', HOUR, 'h'),
    }
}

/// Returns a number of seconds as [`duration`] does.
pub fn seconds(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Returns a duration for a sentence: `0.4 s`, `37 s`, `2 min 5 s`, `1 h 5 min`.
pub fn spoken(seconds: f64) -> String {
    // Fractions matter only for short durations.
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::try_from_secs_f64(seconds.round()).unwrap_or(Duration::MAX);
    let whole = whole.as_secs();
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// Returns `1 job`, `2 jobs` and so on.
pub fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Returns rows as a table, whose columns are as wide as needed.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blanks = width.saturating_sub(cell.chars().count()) + 2;
            line.push_str(cell);
            line.push_str(&" ".repeat(blanks));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_sentences() {
        for (seconds, text) in [
            (0.0, "0.0 s"),
            (2.04, "2.0 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (125.0, "2 min 5 s"),
            (3901.0, "1 h 5 min"),
        ] {
            assert_eq!(spoken(seconds), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
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
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
