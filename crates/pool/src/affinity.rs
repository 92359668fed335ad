//! Which workers have a hint cached, and the preferred worker for a ticket.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::Slot;
use crate::worker::{Load, Workers};
use crate::{CacheHint, Estimate};
use core::time::Duration;

/// How many workers to compare, from either end, to find the preferred one.
///
/// Walking both the workers that have the hint and the workers by load, the exact answer comes within
/// about the square root of the number of workers when loads are independent of hints: 100 of 10,000.
/// When they are not, the best of those seen is good enough, and a decision stays short.
const MAX_CANDIDATES: usize = 128;

/// What the pool remembers about hints and workers.
///
/// The empty hint is remembered too, though no worker is ever preferred for it: it shows an operator
/// which workers have run jobs.
#[derive(Debug, Default)]
pub(crate) struct Affinity {
    /// Every hint that is cached somewhere or wanted by a queued ticket.
    hints: BTreeMap<CacheHint, Hint>,
    /// The hints each worker has, for when it is forgotten. No empty sets.
    by_worker: BTreeMap<Slot, BTreeSet<CacheHint>>,
}

#[derive(Debug, Default)]
struct Hint {
    /// Tickets with this hint that no worker has taken.
    queued: u32,
    /// The workers that have it cached, connected or not.
    workers: BTreeSet<Slot>,
}

impl Affinity {
    /// Notes that a ticket with `text` as its hint is queued.
    ///
    /// Returns the shared hint, and what the job will cost: it is cheap if the hint is cached
    /// anywhere, or will be because another ticket with it goes first.
    pub(crate) fn queue(&mut self, text: &str) -> (CacheHint, Estimate) {
        let shared = self.shared(text);
        let hint = self.hints.entry(shared.clone()).or_default();
        let cheap = !shared.is_none() && (hint.queued > 0 || !hint.workers.is_empty());
        hint.queued += 1;
        (
            shared,
            if cheap {
                Estimate::Cached
            } else {
                Estimate::NonCached
            },
        )
    }

    /// Returns the copy of a hint that is shared, or a new one.
    pub(crate) fn shared(&self, text: &str) -> CacheHint {
        match self.hints.get_key_value(text) {
            Some((hint, _)) => hint.clone(),
            None => CacheHint::new(text),
        }
    }

    /// Notes that a ticket with this hint is queued no more.
    pub(crate) fn dequeue(&mut self, hint: &CacheHint) {
        if let Some(entry) = self.hints.get_mut(hint) {
            entry.queued = entry.queued.saturating_sub(1);
            self.drop_if_unused(hint);
        }
    }

    /// Notes that a worker has a hint cached; returns whether that is new.
    pub(crate) fn remember(&mut self, hint: &CacheHint, worker: Slot) -> bool {
        let entry = match self.hints.get_mut(hint) {
            Some(entry) => entry,
            None => self.hints.entry(hint.clone()).or_default(),
        };
        let new = entry.workers.insert(worker);
        if new {
            self.by_worker
                .entry(worker)
                .or_default()
                .insert(hint.clone());
        }
        new
    }

    /// Drops everything known about a worker.
    pub(crate) fn forget(&mut self, worker: Slot) {
        for hint in self.by_worker.remove(&worker).unwrap_or_default() {
            if let Some(entry) = self.hints.get_mut(&hint) {
                entry.workers.remove(&worker);
                self.drop_if_unused(&hint);
            }
        }
    }

    fn drop_if_unused(&mut self, hint: &CacheHint) {
        if self
            .hints
            .get(hint)
            .is_some_and(|entry| entry.queued == 0 && entry.workers.is_empty())
        {
            self.hints.remove(hint);
        }
    }

    /// Returns the worker to be preferred for a hint, or `None` if no active worker has it cached with a
    /// workload within `limit`. Never `except`.
    ///
    /// Walks, in turns, the workers that have the hint (keeping the best) and the workers by load (up
    /// to the first that has the hint): whichever walk ends first has the answer.
    pub(crate) fn preferred(
        &self,
        hint: &CacheHint,
        workers: &Workers,
        limit: Duration,
        except: Option<Slot>,
    ) -> Option<Slot> {
        if hint.is_none() {
            return None;
        }
        let has_it = &self.hints.get(hint)?.workers;
        let mut cached_on = has_it.iter();
        let mut by_load = workers.by_load();
        let mut best: Option<Load> = None;
        for _ in 0..MAX_CANDIDATES {
            match cached_on.next() {
                None => break,
                Some(slot) if Some(*slot) == except => {}
                Some(slot) => {
                    let load = workers.load(*slot).filter(|load| load.workload <= limit);
                    best = best.into_iter().chain(load).min();
                }
            }
            match by_load.next().filter(|load| load.workload <= limit) {
                None => break,
                Some(load) if Some(load.worker) == except => {}
                Some(load) if has_it.contains(&load.worker) => return Some(load.worker),
                Some(_) => {}
            }
        }
        best.map(|load| load.worker)
    }

    /// Walks the hints that are cached somewhere, with the workers that have them.
    pub(crate) fn cached(&self) -> impl Iterator<Item = (&CacheHint, &BTreeSet<Slot>)> {
        let cached = self
            .hints
            .iter()
            .filter(|(_, entry)| !entry.workers.is_empty());
        cached.map(|(hint, entry)| (hint, &entry.workers))
    }

    /// Walks all hints with the number of tickets queued with each.
    pub(crate) fn queued(&self) -> impl Iterator<Item = (&CacheHint, u32)> {
        self.hints.iter().map(|(hint, entry)| (hint, entry.queued))
    }

    /// Walks the workers that have anything cached.
    pub(crate) fn by_worker(&self) -> impl Iterator<Item = (Slot, &BTreeSet<CacheHint>)> {
        self.by_worker
            .iter()
            .map(|(worker, hints)| (*worker, hints))
    }
}
