//! How much of a disk must be free, on command lines.

use cluster_worker::{FreeThreshold, Percent};

use cli::quantities::disk_bytes;

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
}
