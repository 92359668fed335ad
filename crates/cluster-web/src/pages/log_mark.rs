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
    /// Returns the mark of a part of a log.
    pub fn of(time: &LogTime) -> Self {
        Self {
            offset: time.offset,
            at_seconds: time.at.as_secs_f64(),
        }
    }
}
