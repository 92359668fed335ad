//! Makes room on the disk of a store: as little as is enough, and nothing where that cannot be had.
//!
//! Results go before caches, which take longest to be warm again. Of the results that nothing is based on, those go that nobody
//! has used for long, and of these the one that is made again the soonest.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use jiff::Timestamp;

use super::core::Core;
use super::database::Entry;
use super::remove::RemoveError;
use crate::StepId;
use crate::store::{CacheName, CacheUsage, Space, StoreError, Usage};

/// What is being removed to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed<'a> {
    /// This result.
    Result(&'a StepId),
    /// This cache: no result was left that could go.
    Cache(&'a CacheName),
}

/// What an attempt to make room came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomMade {
    /// There is enough now.
    Enough,
    /// So many results and caches were removed, and there are more: try again.
    Freed(usize),
    /// Nothing was removed. All that may go takes this, and without it there would still be too little: something else fills the
    /// disk, and an empty store would only make every build slow.
    OutOfReach {
        /// What all that may go takes.
        reclaimable: Usage,
    },
}

impl Core {
    pub(super) async fn make_room(
        self: &Rc<Self>,
        before: Timestamp,
        limit: usize,
        is_enough: &dyn Fn(Space) -> bool,
        removed: &mut dyn FnMut(Removed<'_>),
    ) -> Result<RoomMade, RemoveError> {
        let store = &self.parts.store;
        let mut expected = store.space()?;
        if is_enough(expected) {
            return Ok(RoomMade::Enough);
        }
        let mut results = self.removable(before).await?;
        let of_results = results.usage();
        let mut caches = Vec::new();
        if !is_enough(expected.without(of_results)) {
            caches = self.caches().await?;
        }
        let of_caches = caches.iter().map(|(_, cache)| cache.usage).sum();
        let reclaimable = of_results + of_caches;
        if !is_enough(expected.without(reclaimable)) {
            return Ok(RoomMade::OutOfReach { reclaimable });
        }
        let (mut count, mut first_error) = (0, None);
        while count < limit && !is_enough(expected) {
            let gone: Result<Usage, RemoveError> =
                if let Some((id, usage)) = results.take(self.now()) {
                    // The builds that go on meanwhile use results.
                    if !self.claims.is_free(&id) {
                        continue;
                    }
                    removed(Removed::Result(&id));
                    let gone = self.remove(self.claims.removing(id)).await;
                    gone.map(|()| usage)
                } else if let Some((name, cache)) = take_cache(&mut caches, self.now()) {
                    removed(Removed::Cache(&name));
                    let gone = store.delete_cache(&name).await;
                    gone.map(|()| cache.usage).map_err(RemoveError::from)
                } else {
                    break;
                };
            match gone {
                Ok(usage) => {
                    expected = expected.without(usage);
                    count += 1;
                }
                // It goes once whoever reads it has done so.
                Err(error @ RemoveError::Store(StoreError::BeingRead(_))) => {
                    tracing::debug!("Cannot make room: {error}");
                    first_error.get_or_insert(error);
                }
                Err(error) => {
                    tracing::warn!("Cannot make room: {error}");
                    first_error.get_or_insert(error);
                }
            }
        }
        store.complete_deletes().await?;
        match first_error {
            _ if is_enough(store.space()?) => Ok(RoomMade::Enough),
            Some(error) if count == 0 => Err(error),
            _ if count == 0 => Ok(RoomMade::OutOfReach {
                reclaimable: Usage::default(),
            }),
            _ => Ok(RoomMade::Freed(count)),
        }
    }

    /// Returns the results that may go, with what they take.
    async fn removable(&self, before: Timestamp) -> Result<Removable, RemoveError> {
        let entries = self.database.entries()?;
        let bases: HashMap<StepId, Option<StepId>> =
            entries.iter().map(|entry| (entry.id, entry.base)).collect();
        // What has to stay, and with it what it is based on.
        let mut kept = HashSet::new();
        for entry in &entries {
            if entry.used < before && self.claims.is_free(&entry.id) {
                continue;
            }
            let mut next = Some(entry.id);
            while let Some(id) = next.filter(|id| kept.insert(*id)) {
                next = bases.get(&id).copied().flatten();
            }
        }
        let mut removable = Removable::default();
        let entries: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| !kept.contains(&entry.id))
            .collect();
        let ids: Vec<StepId> = entries.iter().map(|entry| entry.id).collect();
        let usages = self.usages(&ids).await?;
        for (entry, usage) in entries.into_iter().zip(usages) {
            if let Some(base) = entry.base {
                *removable.children.entry(base).or_default() += 1;
            }
            let cost = self.cost(&entry);
            let usage = usage.unwrap_or_default();
            removable
                .results
                .insert(entry.id, Candidate { entry, usage, cost });
        }
        Ok(removable)
    }

    /// Returns what results take that no other shares with them. Each is measured once: a result never changes.
    pub(super) async fn usages(&self, ids: &[StepId]) -> Result<Vec<Option<Usage>>, StoreError> {
        let is_new = |id: &&StepId| !self.usages.borrow().contains_key(id);
        let new: Vec<StepId> = ids.iter().filter(is_new).copied().collect();
        if !new.is_empty() {
            let measured = self.parts.store.usages(&new).await?;
            let measured = new.into_iter().zip(measured);
            let known = measured.filter_map(|(id, usage)| Some((id, usage?)));
            self.usages.borrow_mut().extend(known);
        }
        let known = self.usages.borrow();
        Ok(ids.iter().map(|id| known.get(id).copied()).collect())
    }

    /// Returns how many seconds it took to make a result, as far as can be told: its log was made when its step began.
    fn cost(&self, entry: &Entry) -> i64 {
        let finished = self.parts.store.result(&entry.id).ok().flatten();
        let log = finished.and_then(|finished| finished.dir.join("log").metadata().ok());
        let begun = log.and_then(|log| Timestamp::try_from(log.created().ok()?).ok());
        begun.map_or(0, |begun| {
            entry
                .created
                .as_second()
                .saturating_sub(begun.as_second())
                .max(0)
        })
    }

    async fn caches(&self) -> Result<Vec<(CacheName, CacheUsage)>, StoreError> {
        let store = &self.parts.store;
        let mut caches = Vec::new();
        for name in store.caches()? {
            if let Some(usage) = store.cache_usage(&name).await? {
                caches.push((name, usage));
            }
        }
        Ok(caches)
    }
}

/// A result that may go.
struct Candidate {
    entry: Entry,
    usage: Usage,
    /// How many seconds it takes to make it again.
    cost: i64,
}

/// The results that may go, of which those go first that nothing is based on.
#[derive(Default)]
struct Removable {
    results: HashMap<StepId, Candidate>,
    children: HashMap<StepId, usize>,
}

impl Removable {
    fn usage(&self) -> Usage {
        self.results.values().map(|candidate| candidate.usage).sum()
    }

    /// Takes the result that is to go next.
    fn take(&mut self, now: Timestamp) -> Option<(StepId, Usage)> {
        let is_leaf = |id: &StepId| self.children.get(id).is_none_or(|count| *count == 0);
        let leaves = || {
            self.results
                .values()
                .filter(|candidate| is_leaf(&candidate.entry.id))
        };
        let longest = leaves().map(|leaf| idle(leaf.entry.used, now)).max()?;
        let unused = leaves().filter(|leaf| idle(leaf.entry.used, now) >= longest / 2);
        let next = unused.min_by_key(|leaf| (leaf.cost, leaf.entry.used, leaf.entry.id))?;
        let (id, usage, base) = (next.entry.id, next.usage, next.entry.base);
        self.results.remove(&id);
        if let Some(count) = base.and_then(|base| self.children.get_mut(&base)) {
            *count = count.saturating_sub(1);
        }
        Some((id, usage))
    }
}

/// Takes the cache that is to go next: of those that were not used for long, the largest.
fn take_cache(
    caches: &mut Vec<(CacheName, CacheUsage)>,
    now: Timestamp,
) -> Option<(CacheName, CacheUsage)> {
    let longest = caches
        .iter()
        .map(|(_, cache)| idle(cache.used, now))
        .max()?;
    let unused = caches
        .iter()
        .enumerate()
        .filter(|(_, (_, cache))| idle(cache.used, now) >= longest / 2);
    let (next, _) = unused.max_by_key(|(_, (_, cache))| cache.usage.bytes)?;
    Some(caches.swap_remove(next))
}

/// Returns for how many seconds something was not used.
fn idle(used: Timestamp, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(used.as_second()).max(0)
}
