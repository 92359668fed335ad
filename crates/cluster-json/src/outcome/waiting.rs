//! Why a job waits, and until when, for people.

use cluster_api::{Explanation, Forecast};
use visible::printable;

/// Returns why a job waits, and when it is expected to start if that is known.
pub fn reason(explanation: &Explanation) -> String {
    let text = printable(&explanation.text);
    match &explanation.forecast {
        Some(forecast) => format!("{text}; {}", expected_start(forecast)),
        None => text,
    }
}

/// Returns when a job is expected to start.
pub fn expected_start(forecast: &Forecast) -> String {
    let (earliest, latest) = forecast.start;
    format!(
        "expected to start in {}",
        range(earliest.as_secs_f64(), latest.as_secs_f64())
    )
}

/// Returns a range of lengths of time, in a unit in which its end is no large number.
pub fn range(from: f64, to: f64) -> String {
    const UNITS: [(f64, &str); 4] = [
        (86_400.0, "days"),
        (3_600.0, "h"),
        (60.0, "min"),
        (1.0, "s"),
    ];
    // What takes less than two of a unit is told in the next smaller one.
    let unit = UNITS.iter().find(|(seconds, _)| to >= 2.0 * seconds);
    let (seconds, name) = unit.copied().unwrap_or((1.0, "s"));
    let (from, to) = ((from / seconds).floor(), (to / seconds).ceil());
    match from >= to {
        true => format!("{to} {name}"),
        false => format!("{from}–{to} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_rounded_outwards() {
        for (from, to, text) in [
            (0.0, 0.0, "0 s"),
            (0.2, 1.5, "0–2 s"),
            (20.9, 90.1, "20–91 s"),
            (130.0, 290.0, "2–5 min"),
            (120.0, 120.0, "2 min"),
            (59.0, 7_300.0, "0–3 h"),
            (200_000.0, 400_000.0, "2–5 days"),
        ] {
            assert_eq!(range(from, to), text);
        }
    }
}
