//! When the lines of a log were written, as far as is known.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_api::LogTime;

use crate::timestamps::elapsed;

/// The most times that are kept: the latest ones. A log has some hundred kilobytes on the screen.
const MAX_TIMES: usize = 20_000;

/// The columns of a time and the blanks after it.
const COLUMNS: usize = 11;

/// The times of the lines of a log.
#[derive(Debug)]
pub(super) struct LineTimes {
    /// By where what was written then begins.
    times: BTreeMap<u64, Duration>,
    /// Up to where they are known.
    to: u64,
    /// Why no more get known.
    failed: Option<String>,
}

impl LineTimes {
    /// Begins with a log that is shown from an offset on.
    pub(super) fn from(offset: u64) -> Self {
        Self {
            times: BTreeMap::new(),
            to: offset,
            failed: None,
        }
    }

    /// Returns the part of the log whose times are missing, where so much of it is shown.
    pub(super) fn missing(&self, length: u64) -> Option<(u64, u64)> {
        (self.failed.is_none() && self.to < length).then_some((self.to, length))
    }

    /// Adds the times of a part of the log.
    pub(super) fn add(&mut self, times: &[LogTime], to: u64) {
        let times = times.iter().map(|time| (time.offset, time.at));
        self.times.extend(times);
        self.to = self.to.max(to);
        while self.times.len() > MAX_TIMES {
            self.times.pop_first();
        }
    }

    /// No more times get known.
    pub(super) fn fail(&mut self, why: String) {
        self.failed = Some(why);
    }

    /// Returns why no more get known, if it is so.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Returns what is before a line that begins at an offset: its time, or blanks.
    pub(super) fn before(&self, offset: u64) -> String {
        let time = self.times.range(..=offset).next_back();
        let shown = time.map_or_else(String::new, |(_, at)| elapsed(*at));
        format!("{shown:<width$}", width = COLUMNS.max(shown.len() + 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_of_what_is_at_its_beginning() {
        let time = |offset, secs| LogTime {
            offset,
            at: Duration::from_secs(secs),
        };
        let mut times = LineTimes::from(10);
        assert_eq!(times.missing(10), None);
        assert_eq!(times.missing(30), Some((10, 30)));
        times.add(&[time(5, 1), time(20, 36_000)], 30);
        assert_eq!(times.before(4), "           ");
        assert_eq!(times.before(19), "0:00:01.0  ");
        assert_eq!(times.before(20), "10:00:00.0  ");
        assert_eq!(times.missing(31), Some((30, 31)));
        let many: Vec<_> = (0..2 * MAX_TIMES as u64)
            .map(|offset| time(offset, offset))
            .collect();
        times.add(&many, 40);
        assert_eq!(times.times.len(), MAX_TIMES);
        times.fail("no such method".to_owned());
        assert_eq!(times.missing(50), None);
    }
}
