//! Makes room on the disk of a store: removes as little as is enough, and nothing if that cannot be reached.
//!
//! Results are removed before caches, which take longest to fill again. Of the results that no other is based on, the
//! ones unused for long are removed, and of these first the one that is rebuilt the fastest.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use super::core::Core;
use super::database::Entry;
use super::remove::RemoveError;
use crate::StepId;
use crate::store::{CacheName, CacheUsage, Space, StoreError, Usage};

/// A removal that makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed<'a> {
    /// Of this result.
    Result(&'a StepId),
    /// Of this cache: no result was left that could be removed.
    Cache(&'a CacheName),
}

/// The outcome of an attempt to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomMade {
    /// There is enough room now.
    Enough,
    /// This many results and caches were removed, and more are left: try again.
    Freed(usize),
    /// Nothing was removed, because removing everything would not be enough. Other files fill the disk, and an empty
    /// store would only make every build slow.
    OutOfReach {
        /// Disk usage of everything that could be removed.
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
                    // Builds that run meanwhile use results.
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
                // It can be removed once its reader has finished.
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

    /// Returns the results that may be removed, with their disk usage.
    async fn removable(&self, before: Timestamp) -> Result<Removable, RemoveError> {
        let entries = self.database.entries()?;
        let bases: HashMap<StepId, Option<StepId>> =
            entries.iter().map(|entry| (entry.id, entry.base)).collect();
        // Results that must stay, and the ones that they are based on.
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
            let candidate = Candidate {
                rebuild_time: self.rebuild_time(&entry),
                usage: usage.unwrap_or_default(),
                entry,
            };
            removable.results.insert(candidate.entry.id, candidate);
        }
        Ok(removable)
    }

    /// Returns the disk usage of results that no other shares. Each is measured once: a result never changes.
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

    /// Returns how long it took to make a result, or zero if unknown. Its log was created when its step began.
    fn rebuild_time(&self, entry: &Entry) -> Duration {
        let finished = self.parts.store.result(&entry.id).ok().flatten();
        let log = finished.and_then(|finished| finished.dir.join("log").metadata().ok());
        let begun = log.and_then(|log| Timestamp::try_from(log.created().ok()?).ok());
        begun.map_or(Duration::ZERO, |begun| between(begun, entry.created))
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

/// A result that may be removed.
struct Candidate {
    entry: Entry,
    usage: Usage,
    rebuild_time: Duration,
}

/// The results that may be removed. The ones that no other is based on are removed first.
#[derive(Default)]
struct Removable {
    results: HashMap<StepId, Candidate>,
    children: HashMap<StepId, usize>,
}

impl Removable {
    fn usage(&self) -> Usage {
        self.results.values().map(|candidate| candidate.usage).sum()
    }

    /// Takes the result to remove next.
    fn take(&mut self, now: Timestamp) -> Option<(StepId, Usage)> {
        let is_leaf = |id: &StepId| self.children.get(id).is_none_or(|count| *count == 0);
        let leaves = || {
            self.results
                .values()
                .filter(|candidate| is_leaf(&candidate.entry.id))
        };
        let longest = leaves().map(|leaf| between(leaf.entry.used, now)).max()?;
        let unused = leaves().filter(|leaf| between(leaf.entry.used, now) >= longest / 2);
        let next = unused.min_by_key(|leaf| (leaf.rebuild_time, leaf.entry.used, leaf.entry.id))?;
        let (id, usage, base) = (next.entry.id, next.usage, next.entry.base);
        self.results.remove(&id);
        if let Some(count) = base.and_then(|base| self.children.get_mut(&base)) {
            *count = count.saturating_sub(1);
        }
        Some((id, usage))
    }
}

/// Takes the cache to remove next: of the ones unused for long, the largest.
fn take_cache(
    caches: &mut Vec<(CacheName, CacheUsage)>,
    now: Timestamp,
) -> Option<(CacheName, CacheUsage)> {
    let longest = caches
        .iter()
        .map(|(_, cache)| between(cache.used, now))
        .max()?;
    let unused = caches
        .iter()
        .enumerate()
        .filter(|(_, (_, cache))| between(cache.used, now) >= longest / 2);
    let (next, _) = unused.max_by_key(|(_, (_, cache))| cache.usage.bytes)?;
    Some(caches.swap_remove(next))
}

/// Returns the time from one timestamp to a later one, in whole seconds. Zero if it is not later.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    let seconds = to.as_second().saturating_sub(from.as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
