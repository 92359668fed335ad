//! Logs with the time of each line.

mod colour;

use std::time::Duration;

use cluster_api::LogTime;
use jiff::{SignedDuration, Timestamp};

use self::colour::Colour;
use cli::quote::printable;

/// Whether and how the time of each line is shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct TimestampArgs {
    /// Begin each line with when it was written, in UTC
    #[arg(short, long)]
    timestamps: bool,
    /// Begin each line with when it was written, since the attempt began
    #[arg(long, conflicts_with = "timestamps")]
    elapsed: bool,
}

/// How a time is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampStyle {
    Utc,
    Elapsed,
}

impl TimestampArgs {
    /// Returns how times are shown; `None` if they are not.
    pub(crate) fn style(self) -> Option<TimestampStyle> {
        match (self.timestamps, self.elapsed) {
            (true, _) => Some(TimestampStyle::Utc),
            (false, true) => Some(TimestampStyle::Elapsed),
            (false, false) => None,
        }
    }
}

/// The error about a scheduler that does not know when logs were written.
pub(crate) const UNKNOWN: &str = "cannot show when the log was written: this scheduler does not keep that; \
    update the scheduler, or leave out --timestamps and --elapsed";

/// What is said once when a job goes on whose log cannot be shown with times.
pub(crate) const NOT_SHOWN: &str =
    "The log has no times: this scheduler does not keep when logs are written";

/// Returns what is said once when the times of an attempt are not known.
pub(crate) fn unreported(attempt: u32, worker: &str) -> String {
    let worker = printable(worker);
    format!(
        "The log of attempt {attempt} has no times: worker \"{worker}\" has not reported when it was written"
    )
}

/// Puts times before the lines of a log.
#[derive(Debug)]
pub(crate) struct LineTimes {
    style: TimestampStyle,
    /// When the attempt began.
    began: Timestamp,
    is_in_line: bool,
    /// What the log has left on, which is not for the times.
    colour: Colour,
}

impl LineTimes {
    /// Returns what puts times before the lines of an attempt that began so long ago.
    pub(crate) fn new(style: TimestampStyle, began: Duration, now: Timestamp) -> Self {
        let ago = SignedDuration::try_from(began).unwrap_or_default();
        Self {
            style,
            began: now.checked_sub(ago).unwrap_or(now),
            is_in_line: false,
            colour: Colour::default(),
        }
    }

    /// Returns a piece of the log, which is at an offset, with the times before its lines. `times` are those of the
    /// piece, as far as they are known.
    pub(crate) fn stamp(&mut self, offset: u64, bytes: &[u8], times: &[LogTime]) -> Vec<u8> {
        let mut stamped = Vec::with_capacity(bytes.len() + bytes.len() / 2);
        let mut at = offset;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_in_line {
                let next = times.partition_point(|time| time.offset <= at);
                let time = next.checked_sub(1).and_then(|last| times.get(last));
                let shown = self.shown(time.map(|time| time.at));
                self.colour.without(&mut stamped, shown.as_bytes());
            }
            self.colour.read(line);
            stamped.extend(line);
            self.is_in_line = !line.ends_with(b"\n");
            at += line.len() as u64;
        }
        stamped
    }

    fn shown(&self, at: Option<Duration>) -> String {
        match (self.style, at) {
            (TimestampStyle::Utc, None) => format!("{:<20}  ", "-"),
            (TimestampStyle::Elapsed, None) => format!("{:>9}  ", "-"),
            (TimestampStyle::Utc, Some(at)) => {
                let after = SignedDuration::try_from(at).unwrap_or_default();
                let time = self.began.checked_add(after).unwrap_or(self.began);
                format!("{}  ", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
            }
            (TimestampStyle::Elapsed, Some(at)) => format!("{}  ", elapsed(at)),
        }
    }
}

/// Returns a time since an attempt began, in hours, minutes, seconds and tenths.
pub(crate) fn elapsed(at: Duration) -> String {
    let (seconds, tenths) = (at.as_secs(), at.subsec_millis() / 100);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours}:{minutes:02}:{seconds:02}.{tenths}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: &[LogTime] = &[
        LogTime {
            offset: 4,
            at: Duration::from_millis(1_250),
        },
        LogTime {
            offset: 8,
            at: Duration::from_secs(3_700),
        },
    ];

    fn stamped(style: TimestampStyle, pieces: &[&str]) -> String {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut lines = LineTimes::new(style, Duration::from_secs(60), now);
        let mut offset = 0;
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(lines.stamp(offset, piece.as_bytes(), TIMES));
            offset += piece.len() as u64;
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_time_does_not_have_the_colour_of_the_log() {
        let expected = "        -  \u{1b}[31mred\n\u{1b}[0m0:00:01.2  \u{1b}[31m\u{1b}[1mred\u{1b}[0m\n1:41:40.0  x";
        let log = "\u{1b}[31mred\n\u{1b}[1mred\u{1b}[0m\nx";
        let times = &[at(8, 1_250), at(19, 6_100_000)];
        for at in 0..log.len() {
            let (first, second) = log.split_at(at);
            let mut lines = LineTimes::new(
                TimestampStyle::Elapsed,
                Duration::ZERO,
                Timestamp::UNIX_EPOCH,
            );
            let mut all = lines.stamp(0, first.as_bytes(), times);
            all.extend(lines.stamp(first.len() as u64, second.as_bytes(), times));
            assert_eq!(String::from_utf8(all).unwrap(), expected, "{at}");
        }
    }

    fn at(offset: u64, millis: u64) -> LogTime {
        LogTime {
            offset,
            at: Duration::from_millis(millis),
        }
    }

    #[test]
    fn each_line_has_its_time() {
        let expected =
            "        -  one\n0:00:01.2  two\n1:01:40.0  three\n1:01:40.0  \n1:01:40.0  end";
        let elapsed = |pieces: &[&str]| stamped(TimestampStyle::Elapsed, pieces);
        assert_eq!(elapsed(&["one\ntwo\nthree\n\nend"]), expected);
        // Pieces begin and end anywhere.
        assert_eq!(
            elapsed(&["o", "ne\ntw", "o\nthree", "\n\n", "en", "d"]),
            expected
        );
        let utc =
            "-                     one\n2026-01-02T03:03:06Z  two\n2026-01-02T04:04:45Z  three\n";
        assert_eq!(stamped(TimestampStyle::Utc, &["one\ntwo\nthree\n"]), utc);
    }
}
