//! How long jobs, logs and the audit log are kept, and how much of the disk the logs take.

use std::cell::Cell;
use std::time::Duration;

use job_store::{Cleanup, Expired, Expiry, Pruned};
use jobs::AttemptId;
use pool::Time;

use super::DurableJobs;

/// How often to look for what has expired.
pub(super) const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

/// The logs on disk.
pub(super) struct LogUsage {
    /// How many bytes those take that are whole.
    whole: Cell<u64>,
    /// How many logs cannot be written at present.
    failing: Cell<usize>,
}

impl LogUsage {
    pub(super) fn new(whole: u64) -> Self {
        Self {
            whole: Cell::new(whole),
            failing: Cell::new(0),
        }
    }

    /// Returns how many bytes those take that are whole.
    pub(super) fn whole(&self) -> u64 {
        self.whole.get()
    }

    /// Tells whether a log cannot be written at present.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.get() > 0
    }

    /// Another one is whole.
    pub(super) fn added(&self, bytes: u64) {
        self.whole.set(self.whole.get().saturating_add(bytes));
    }

    fn freed(&self, bytes: u64) {
        self.whole.set(self.whole.get().saturating_sub(bytes));
    }
}

/// A log that cannot be written at present, for as long as this lives.
pub(super) struct FailingLog<'a>(&'a LogUsage);

impl<'a> FailingLog<'a> {
    pub(super) fn new(usage: &'a LogUsage) -> Self {
        usage.failing.set(usage.failing.get() + 1);
        Self(usage)
    }
}

impl Drop for FailingLog<'_> {
    fn drop(&mut self) {
        self.0.failing.set(self.0.failing.get().saturating_sub(1));
    }
}

impl DurableJobs {
    /// Asks the store to remove what has expired.
    pub(super) fn prune(&self) {
        if let Some(committer) = &*self.committer.borrow() {
            committer.prune(self.before(self.settings.keep_jobs));
        }
        self.expire();
    }

    pub(super) fn expire(&self) {
        if let Some(committer) = &*self.committer.borrow() {
            committer.expire(Expiry {
                logs_before: self.before(self.settings.keep_logs),
                max_log_bytes: self.settings.max_logs_bytes,
                audit_before: self.before(self.settings.keep_audit),
            });
        }
    }

    /// Returns the time so long ago.
    pub(super) fn before(&self, age: Duration) -> Time {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        Time::from_micros(self.clock.unix_now().micros().saturating_sub(age))
    }

    /// These jobs are not in the store any more.
    pub(super) fn pruned(&self, pruned: Vec<Pruned>) {
        self.logs
            .freed(pruned.iter().map(|job| job.log_bytes).sum());
        if let Some(store) = &self.log_store {
            let logs = pruned.iter().flat_map(|pruned| {
                let numbers = 1..=pruned.attempts;
                numbers.map(|number| AttemptId {
                    job: pruned.job,
                    number,
                })
            });
            store.remove(logs.collect());
        }
        // An error is logged there; nobody waits for it.
        drop(self.store.run(move |kept| kept.remove_logs(&pruned)));
    }

    /// These logs are not in the store any more.
    pub(super) fn expired(&self, expired: Expired) {
        self.logs
            .freed(expired.logs.iter().map(|log| log.bytes).sum());
        if let Some(store) = &self.log_store {
            store.remove(expired.logs.iter().map(|log| log.attempt).collect());
        }
        drop(
            self.store
                .run(move |kept| kept.remove_expired(&expired.logs)),
        );
    }

    /// The store cannot remove something, or can again. Logged once, and not every hour.
    pub(super) fn cleanup_reported(cleanup: Cleanup, result: Result<(), String>) {
        let what = match cleanup {
            Cleanup::Prune => "jobs",
            Cleanup::Wipe => "descriptions of jobs",
            Cleanup::Expire => "logs and entries of the audit log",
        };
        match result {
            Ok(()) => tracing::info!(target: "scheduler", "Old {what} can be removed again"),
            Err(error) => tracing::error!(
                target: "scheduler",
                "Cannot remove old {what}: {error}; retrying within an hour"
            ),
        }
    }

    /// Phases cannot be saved, or can be again.
    pub(super) fn phases_reported(result: Result<(), String>) {
        match result {
            Ok(()) => tracing::info!(target: "scheduler", "Phases of jobs can be saved again"),
            Err(error) => tracing::warn!(
                target: "scheduler",
                "Cannot save phases of jobs: {error}; they are left out"
            ),
        }
    }
}
