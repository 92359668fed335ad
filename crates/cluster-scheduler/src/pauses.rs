//! Who paused which workers, when and why: notes of operators for each other. Whether a worker is paused is the pool's
//! state.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cluster_api::Pause;
use pool::{WorkerId, WorkerName};

use crate::db::UnixTime;

/// The longest note about a pause, and the longest name of who made it, in bytes: a few sentences.
pub(crate) const MAX_NOTE_BYTES: usize = 1_000;

/// What is kept about the pauses of a pool.
#[derive(Default)]
pub(crate) struct Pauses {
    /// Those that last until they are ended. They are in the database, too.
    lasting: BTreeMap<WorkerName, PauseNote>,
    /// Those that end with a registration.
    until_reconnect: HashMap<WorkerId, PauseNote>,
}

/// Who paused a worker, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PauseNote {
    pub(crate) since: UnixTime,
    /// As the operator's program reported; empty if it reported no name.
    pub(crate) by: String,
    /// Empty when nothing was given.
    pub(crate) note: String,
}

/// A text that is too long to be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has {bytes} bytes, and the limit is {MAX_NOTE_BYTES}; shorten it")]
pub(crate) struct NoteTooLong {
    what: &'static str,
    bytes: usize,
}

impl PauseNote {
    /// Returns a pause that was made at `since`.
    pub(crate) fn new(since: UnixTime, by: String, note: String) -> Result<Self, NoteTooLong> {
        for (what, text) in [("name of who pauses", &by), ("note", &note)] {
            let bytes = text.len();
            if bytes > MAX_NOTE_BYTES {
                return Err(NoteTooLong { what, bytes });
            }
        }
        Ok(Self { since, by, note })
    }

    /// Returns one of which only the time is known, as by upstream's admin.
    pub(crate) fn unexplained(since: UnixTime) -> Self {
        Self {
            since,
            by: String::new(),
            note: String::new(),
        }
    }

    fn shown(&self, now: UnixTime) -> Pause {
        let seconds = now.0.saturating_sub(self.since.0);
        Pause {
            lasting: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            by: self.by.clone(),
            note: self.note.clone(),
        }
    }
}

impl Pauses {
    pub(crate) fn new(lasting: BTreeMap<WorkerName, PauseNote>) -> Self {
        Self {
            lasting,
            until_reconnect: HashMap::new(),
        }
    }

    /// A worker is paused until that is ended. What was known of an earlier pause is replaced.
    pub(crate) fn set(&mut self, worker: &WorkerName, note: PauseNote) {
        self.lasting.insert(worker.clone(), note);
    }

    /// A worker is paused until it reconnects.
    pub(crate) fn set_until_reconnect(&mut self, id: WorkerId, note: PauseNote) {
        self.until_reconnect.insert(id, note);
    }

    /// Both kinds of pause of a worker have ended.
    pub(crate) fn end(&mut self, worker: &WorkerName, id: Option<WorkerId>) {
        self.lasting.remove(worker);
        if let Some(id) = id {
            self.end_registration(id);
        }
    }

    /// A registration has ended, or its pause has.
    pub(crate) fn end_registration(&mut self, id: WorkerId) {
        self.until_reconnect.remove(&id);
    }

    /// Returns whether something is kept about a pause of `worker` that lasts until it is ended.
    pub(crate) fn has_lasting(&self, worker: &WorkerName) -> bool {
        self.lasting.contains_key(worker)
    }

    /// Returns what is known about the pause of a worker that lasts until it is ended.
    pub(crate) fn lasting(&self, worker: &WorkerName, now: UnixTime) -> Option<Pause> {
        Some(self.lasting.get(worker)?.shown(now))
    }

    /// Returns what is known about the pause of a worker that ends with its registration.
    pub(crate) fn temporary(&self, id: WorkerId, now: UnixTime) -> Option<Pause> {
        Some(self.until_reconnect.get(&id)?.shown(now))
    }

    /// Returns what is known about the pause of a worker: of the one that lasts, if there are two.
    pub(crate) fn of(
        &self,
        worker: &WorkerName,
        id: Option<WorkerId>,
        now: UnixTime,
    ) -> Option<Pause> {
        let temporary = || id.and_then(|id| self.temporary(id, now));
        self.lasting(worker, now).or_else(temporary)
    }
}
