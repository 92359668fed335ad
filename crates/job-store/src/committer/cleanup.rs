//! What is removed from the store, in pieces between which changes are saved.

use std::collections::BTreeMap;

use pool::Time;

use super::{CommitterThread, Report};
use crate::{Expiry, StoreError, Writer};

/// How many jobs are removed at once: what takes some milliseconds.
const PIECE: u32 = 100;

/// What is removed from a store because it is too old, or takes too much of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cleanup {
    /// Jobs; see [`Committer::prune`](super::Committer::prune).
    Prune,
    /// Descriptions; see [`Committer::wipe`](super::Committer::wipe).
    Wipe,
    /// Logs and entries of the audit log; see [`Committer::expire`](super::Committer::expire).
    Expire,
}

/// What is to be removed.
#[derive(Debug, Default)]
pub(super) struct Cleanups {
    /// Jobs that ended before this time.
    pub(super) prune: Option<Time>,
    /// The descriptions of jobs that ended before this time.
    pub(super) wipe: Option<Time>,
    pub(super) expiry: Option<Expiry>,
    /// Why something could not be removed when that was last tried.
    errors: BTreeMap<Cleanup, String>,
}

impl Cleanups {
    /// Tells whether something is to be removed.
    pub(super) fn is_due(&self) -> bool {
        self.prune.is_some() || self.wipe.is_some() || self.expiry.is_some()
    }
}

/// What cannot be removed now is tried again when it is asked for again.
impl<W: Writer, F: Fn(Report)> CommitterThread<W, F> {
    /// Removes a piece of all that is to be removed, if the disk takes changes.
    pub(super) fn clean_up(&mut self) {
        if self.is_failing {
            return;
        }
        self.prune();
        self.expire();
        self.wipe();
    }

    fn prune(&mut self) {
        let Some(ended_before) = self.cleanups.prune.take() else {
            return;
        };
        let pruned = self.writer.prune(ended_before, PIECE);
        let pruned = self.note(Cleanup::Prune, pruned);
        if !pruned.is_empty() {
            self.cleanups.prune = Some(ended_before);
            tracing::trace!(target: "crash-point", point = "after-pruning");
            (self.report)(Report::Pruned(pruned));
        }
    }

    fn expire(&mut self) {
        let failing = self.entries.is_failing;
        let Some(expiry) = self.cleanups.expiry.take_if(|_| !failing) else {
            return;
        };
        let expired = self.writer.expire(&expiry, PIECE);
        let expired = self.note(Cleanup::Expire, expired);
        if !expired.logs.is_empty() || expired.entries > 0 {
            self.cleanups.expiry = Some(expiry);
            (self.report)(Report::Expired(expired));
        }
    }

    fn wipe(&mut self) {
        let Some(ended_before) = self.cleanups.wipe.take() else {
            return;
        };
        let wiped = self.writer.wipe(ended_before, PIECE);
        if self.note(Cleanup::Wipe, wiped) > 0 {
            self.cleanups.wipe = Some(ended_before);
        }
    }

    /// Returns what was removed. Reports why it could not be, but not again for the same reason; and that it can be
    /// again.
    fn note<T: Default>(&mut self, cleanup: Cleanup, result: Result<T, StoreError>) -> T {
        let errors = &mut self.cleanups.errors;
        match result {
            Ok(removed) => {
                if errors.remove(&cleanup).is_some() {
                    (self.report)(Report::Cleanup(cleanup, Ok(())));
                }
                removed
            }
            Err(error) => {
                self.counters.cleanup_failed();
                let error = error.to_string();
                if errors.insert(cleanup, error.clone()).as_ref() != Some(&error) {
                    (self.report)(Report::Cleanup(cleanup, Err(error)));
                }
                T::default()
            }
        }
    }
}
