//! Which workers have a hint cached, and the preferred worker for a ticket.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::ids::Slot;
use crate::times::Times;
use crate::window::Known;
use crate::worker::{Load, Workers};
use crate::{CacheHint, Estimate, Time};
use core::time::Duration;

/// How many workers to compare, from either end, to find the preferred one.
///
/// Walking both the workers that have the hint and the workers by load, the exact answer comes within
/// about the square root of the number of workers when loads are independent of hints: 100 of 10,000.
/// When they are not, the best of those seen is good enough, and a decision stays short.
const MAX_CANDIDATES: usize = 128;

/// The worker that has a hint cached and is free first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Soonest {
    /// One that is free soon enough.
    Within(Slot),
    /// None is free soon enough.
    Later,
    /// No active worker has the hint cached.
    None,
}

/// What the pool remembers about hints and workers.
///
/// The empty hint is remembered too, though no worker is ever preferred for it: it shows an operator
/// which workers have run jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Affinity {
    /// Every hint that is cached somewhere or wanted by a queued ticket.
    hints: BTreeMap<CacheHint, Hint>,
    /// The hints each worker has, for when it is forgotten. No empty sets.
    by_worker: BTreeMap<Slot, BTreeSet<CacheHint>>,
}

#[derive(Clone, Debug)]
struct Hint {
    /// The copy of the hint that its tickets share: it is here, too, so that one look-up finds both.
    shared: CacheHint,
    /// Tickets with this hint that no worker has taken.
    queued: u32,
    /// The workers that have it cached, connected or not.
    workers: BTreeSet<Slot>,
    /// How long its jobs took: a copy of what [`Times`] has, as it is needed for each decision.
    known: Known,
}

impl Hint {
    fn new(hint: &CacheHint, times: &Times) -> Self {
        Self {
            shared: hint.clone(),
            queued: 0,
            workers: BTreeSet::new(),
            known: times.known(hint),
        }
    }

    fn is_unused(&self) -> bool {
        self.queued == 0 && self.workers.is_empty()
    }
}

impl Affinity {
    /// Notes that a ticket with `text` as its hint is queued.
    ///
    /// Returns the shared hint, what is known of it, and what the job will cost: it is cheap if the hint is cached
    /// anywhere, or will be because another ticket with it goes first.
    pub(crate) fn queue(&mut self, text: &str, times: &Times) -> (CacheHint, Estimate, Known) {
        let entry = match self.hints.get_mut(text) {
            Some(entry) => entry,
            None => {
                let hint = CacheHint::new(text);
                let entry = self.hints.entry(hint);
                entry.or_insert_with_key(|hint| Hint::new(hint, times))
            }
        };
        let cheap = !text.is_empty() && !entry.is_unused();
        entry.queued += 1;
        let estimate = match cheap {
            true => Estimate::Cached,
            false => Estimate::NonCached,
        };
        (entry.shared.clone(), estimate, entry.known)
    }

    /// Returns the copy of a hint that is shared, or a new one.
    pub(crate) fn shared(&self, text: &str) -> CacheHint {
        match self.hints.get(text) {
            Some(entry) => entry.shared.clone(),
            None => CacheHint::new(text),
        }
    }

    /// Notes that a ticket with this hint is queued no more.
    pub(crate) fn dequeue(&mut self, hint: &CacheHint) {
        if let Some(entry) = self.hints.get_mut(hint) {
            entry.queued = entry.queued.saturating_sub(1);
            if entry.is_unused() {
                self.hints.remove(hint);
            }
        }
    }

    /// Notes that a worker has a hint cached; returns whether that is new, and what is known of the hint.
    pub(crate) fn remember(
        &mut self,
        hint: &CacheHint,
        worker: Slot,
        times: &Times,
    ) -> (bool, Known) {
        self.cache(hint, worker, times, 0)
    }

    /// Notes that a worker takes a ticket with this hint, which is queued no more, and has the hint cached from now on;
    /// returns the same.
    pub(crate) fn take(&mut self, hint: &CacheHint, worker: Slot, times: &Times) -> (bool, Known) {
        self.cache(hint, worker, times, 1)
    }

    /// Looks a hint up once, as that takes longer than what is done with it.
    fn cache(
        &mut self,
        hint: &CacheHint,
        worker: Slot,
        times: &Times,
        taken: u32,
    ) -> (bool, Known) {
        let entry = match self.hints.get_mut(hint) {
            Some(entry) => entry,
            None => {
                let entry = self.hints.entry(hint.clone());
                entry.or_insert_with_key(|hint| Hint::new(hint, times))
            }
        };
        entry.queued = entry.queued.saturating_sub(taken);
        let new = entry.workers.insert(worker);
        let known = entry.known;
        if new {
            self.by_worker
                .entry(worker)
                .or_default()
                .insert(hint.clone());
        }
        (new, known)
    }

    /// A worker has dropped what it had cached for a hint; returns whether it had any.
    pub(crate) fn drop_cached(&mut self, hint: &CacheHint, worker: Slot) -> bool {
        let Some(hints) = self.by_worker.get_mut(&worker) else {
            return false;
        };
        let had = hints.remove(hint);
        if hints.is_empty() {
            self.by_worker.remove(&worker);
        }
        if let Some(entry) = self.hints.get_mut(hint) {
            entry.workers.remove(&worker);
            if entry.is_unused() {
                self.hints.remove(hint);
            }
        }
        had
    }

    /// Returns the hints that a worker has cached.
    pub(crate) fn cached_by(&self, worker: Slot) -> impl Iterator<Item = &CacheHint> {
        self.by_worker.get(&worker).into_iter().flatten()
    }

    /// Notes what is known of a hint, if there is any use for it.
    pub(crate) fn learn(&mut self, hint: &CacheHint, known: Known) {
        if let Some(entry) = self.hints.get_mut(hint) {
            entry.known = known;
        }
    }

    /// Returns what is known of a hint that is cached somewhere or wanted by a queued ticket.
    pub(crate) fn known(&self, hint: &CacheHint) -> Known {
        self.hints
            .get(hint)
            .map_or(Known::default(), |hint| hint.known)
    }

    /// Walks all hints with what is known of each.
    pub(crate) fn all_known(&self) -> impl Iterator<Item = (&CacheHint, Known)> {
        self.hints.iter().map(|(hint, entry)| (hint, entry.known))
    }

    /// Returns whether a worker has a hint cached.
    pub(crate) fn is_cached(&self, hint: &CacheHint, worker: Slot) -> bool {
        !hint.is_none()
            && self
                .hints
                .get(hint)
                .is_some_and(|hint| hint.workers.contains(&worker))
    }

    /// Returns this with some hints only, of which no ticket is queued, and without what is needed to forget workers.
    pub(crate) fn some<'a>(&self, wanted: impl Iterator<Item = &'a CacheHint>) -> Self {
        let mut some = Self::default();
        for hint in wanted {
            if let Some(entry) = self.hints.get(hint) {
                let entry = Hint {
                    queued: 0,
                    ..entry.clone()
                };
                some.hints.insert(entry.shared.clone(), entry);
            }
        }
        some
    }

    /// Drops everything known about a worker.
    pub(crate) fn forget(&mut self, worker: Slot) {
        for hint in self.by_worker.remove(&worker).unwrap_or_default() {
            if let Some(entry) = self.hints.get_mut(&hint) {
                entry.workers.remove(&worker);
                if entry.is_unused() {
                    self.hints.remove(&hint);
                }
            }
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

    /// Returns the worker with the shortest wait of those that have a hint cached, if that is within the `limit` for
    /// what is known of the hint; of equals the one that is less loaded. Never `except`.
    ///
    /// Ends with the first that is free. Like [`preferred`](Self::preferred), it looks at some of the workers only.
    pub(crate) fn soonest(
        &self,
        hint: &CacheHint,
        workers: &Workers,
        (now, limit): (Time, impl FnOnce(Known) -> Duration),
        except: Option<Slot>,
    ) -> Soonest {
        let Some(entry) = self.hints.get(hint).filter(|_| !hint.is_none()) else {
            return Soonest::None;
        };
        let has_it = &entry.workers;
        let wait = |slot: Slot| {
            let load = workers.load(slot).filter(|_| Some(slot) != except)?;
            Some((workers.get(slot)?.wait(now), load))
        };
        let mut by_load = workers.by_load();
        let mut best: Option<(Duration, Load)> = None;
        for slot in has_it.iter().take(MAX_CANDIDATES) {
            best = best.into_iter().chain(wait(*slot)).min();
            let next = by_load.next().map(|load| load.worker);
            let next = next.filter(|slot| has_it.contains(slot));
            if let Some((time, load)) = next.and_then(wait) {
                if time.is_zero() {
                    return Soonest::Within(load.worker);
                }
                best = best.into_iter().chain([(time, load)]).min();
            }
        }
        match best {
            Some((wait, load)) if wait <= limit(entry.known) => Soonest::Within(load.worker),
            Some(_) => Soonest::Later,
            None => Soonest::None,
        }
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
