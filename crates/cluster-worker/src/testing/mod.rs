//! Helpers for the tests of this crate.

pub(crate) mod cluster;
pub(crate) mod git;
mod wrapping;

pub(crate) use testkit::{story as local, story_with_paused_time as local_with_paused_time};
pub(crate) use wrapping::wrapped;

use crate::log::{JobLog, LogDir};

/// A log in a directory of its own.
pub(crate) struct TestLog {
    pub(crate) log: JobLog,
    pub(crate) dir: tempfile::TempDir,
}

impl TestLog {
    pub(crate) fn new() -> Self {
        Self::with_limit(1 << 30)
    }

    pub(crate) fn with_limit(limit: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = JobLog::new(&LogDir::open(dir.path()).unwrap(), limit);
        Self { log, dir }
    }

    /// Returns what was logged so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.log.recent(0)).unwrap()
    }
}
