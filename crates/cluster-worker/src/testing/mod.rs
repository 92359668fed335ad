//! What the tests of this crate have in common.

pub(crate) mod cluster;
pub(crate) mod git;
mod wrapping;

use std::time::Duration;

use crate::log::{JobLog, LogDir};

pub(crate) use wrapping::wrapped;

/// No test takes longer than this, however slow the machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on a thread like the worker's.
pub(crate) fn local<T>(test: impl Future<Output = T>) -> T {
    run(test, tokio::runtime::Builder::new_current_thread())
}

/// Runs a test on such a thread, where time passes only while all wait for it to.
pub(crate) fn local_with_paused_time<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.start_paused(true);
    run(test, builder)
}

fn run<T>(test: impl Future<Output = T>, mut builder: tokio::runtime::Builder) -> T {
    let runtime = builder.enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(LIMIT, test)
            .await
            .expect("the test should have ended long ago")
    })
}

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

    /// All that was logged so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.log.recent(0)).unwrap()
    }
}
