//! When parts of a log were written.

use cluster_api::LogTime;

/// When a part of a log was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogMark {
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// When, after the start of the attempt.
    pub at_seconds: f64,
}

impl LogMark {
    /// Returns the mark for what is at an offset: the last one that does not begin after it.
    pub fn at(marks: &[Self], offset: u64) -> Option<&Self> {
        let next = marks.partition_point(|mark| mark.offset <= offset);
        marks.get(next.checked_sub(1)?)
    }

    /// Returns the mark of a part of a log.
    pub fn of(time: &LogTime) -> Self {
        Self {
            offset: time.offset,
            at_seconds: time.at.as_secs_f64(),
        }
    }
}
