//! Workers that wait for a ticket, in the order in which they will get one.

use alloc::collections::BTreeMap;

use crate::ids::Slot;

/// A worker's place in the ready list, kept with the worker to find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Since(u64);

/// The ready list: who has waited longest is served first.
///
/// A worker is in it once, however many pops it has outstanding, and goes to the back when it is given
/// a ticket: so a worker that asks for many jobs at once does not get them all while others wait.
/// (Upstream lists each pop, but wakes all of a worker's when it gives it a ticket, which comes to
/// the same.)
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadyList {
    waiting: BTreeMap<Since, Slot>,
    next: u64,
}

impl ReadyList {
    /// Adds a worker at the back, and returns its place.
    pub(crate) fn push(&mut self, worker: Slot) -> Since {
        let since = Since(self.next);
        self.next += 1;
        self.waiting.insert(since, worker);
        since
    }

    pub(crate) fn remove(&mut self, since: Since) {
        self.waiting.remove(&since);
    }

    /// Returns the worker that has waited longest.
    pub(crate) fn oldest(&self) -> Option<Slot> {
        self.waiting.first_key_value().map(|(_, worker)| *worker)
    }

    pub(crate) fn get(&self, since: Since) -> Option<Slot> {
        self.waiting.get(&since).copied()
    }

    /// Walks the waiting workers, the one to be served next first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.waiting.values().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
