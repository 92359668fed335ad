//! How durable jobs are kept, and what they get unless their clients ask for something else.

use std::time::Duration;

/// How durable jobs are kept, and what they get unless their clients ask for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// How long a worker that lost its connection may take to return before its jobs are run again.
    pub worker_grace: Duration,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            worker_grace: jobs::Config::default().return_timeout,
        }
    }
}

impl JobSettings {
    /// Returns what all jobs have in common.
    pub(crate) fn machine(&self) -> jobs::Config {
        jobs::Config::with_return_timeout(self.worker_grace)
    }
}
