//! Which cache hints were built in the store, so that the scheduler gets to know which of them have nothing cached any
//! more.
//!
//! A hint is lost when the result of its latest build is removed. What cannot be known counts as lost, too: a job that
//! looks cached and is not waits for its worker in vain, while one that looks new only goes to any worker.

mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use obuilder::StepId;

use self::file::{Contents, Event, HintFile};
use crate::executor::Pruned;

/// The most hints that are remembered: as many as a pool remembers. Those that were built longest ago are forgotten.
const MAX_HINTS: usize = 10_000;

/// The most bytes that these have, and those that are lost.
const MAX_BYTES: usize = 2 << 20;

/// The longest hint that is remembered, in bytes: what a report may have. Clients write some 100.
const MAX_HINT_BYTES: usize = 64 << 10;

/// The cache hints that were built in a store.
pub(super) struct BuiltHints {
    /// `None` if it cannot be written.
    file: Option<HintFile>,
    known: KnownHints,
    /// How many jobs with a hint are being built. Whether these are lost is seen at their end.
    building: HashMap<String, usize>,
}

/// What is known of hints.
#[derive(Default)]
struct KnownHints {
    /// The hints with their results, in the order of their latest builds. Of one whose builds have all failed, only
    /// steps are cached, and it is not known which.
    builds: BTreeMap<u64, (String, Option<StepId>)>,
    /// The place of each hint in that order.
    places: HashMap<String, u64>,
    next: u64,
    /// How many bytes the hints in `builds` have.
    bytes: usize,
    /// The hints that are lost, which the scheduler does not know.
    lost: BTreeSet<String>,
    /// How many bytes these have.
    lost_bytes: usize,
    /// All are lost, or so many that it is all the same, which the scheduler does not know.
    is_all_lost: bool,
    /// There may be hints that were built before the file began.
    has_unknown: bool,
}

impl KnownHints {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Built(hint, result) => {
                self.find(&hint);
                let before = self.remove(&hint);
                self.bytes += hint.len();
                self.places.insert(hint.clone(), self.next);
                // A build that fails does not remove the result of the one before.
                let result = result.or(before.flatten());
                self.builds.insert(self.next, (hint, result));
                self.next += 1;
            }
            Event::Lost(hint) => {
                self.remove(&hint);
                self.lose(hint);
            }
            Event::Reported(hint) => self.find(&hint),
            Event::Unknown => self.has_unknown = true,
            Event::AllLost => self.lose_all(),
        }
    }

    fn lose(&mut self, hint: String) {
        let length = hint.len();
        if self.lost.insert(hint) {
            self.lost_bytes += length;
        }
        if self.lost.len() > MAX_HINTS || self.lost_bytes > MAX_BYTES {
            self.lose_all();
        }
    }

    /// A hint is not lost any more, or the scheduler knows that it is.
    fn find(&mut self, hint: &str) {
        if self.lost.remove(hint) {
            self.lost_bytes -= hint.len();
        }
    }

    fn lose_all(&mut self) {
        self.lost.clear();
        self.lost_bytes = 0;
        self.has_unknown = false;
        self.is_all_lost = true;
    }

    /// Forgets a hint. Returns the result that it had, if it was known.
    fn remove(&mut self, hint: &str) -> Option<Option<StepId>> {
        let place = self.places.remove(hint)?;
        let (hint, result) = self.builds.remove(&place)?;
        self.bytes -= hint.len();
        Some(result)
    }

    /// Returns the hint that was built longest ago, if there are too many.
    fn surplus(&self) -> Option<&str> {
        let is_full = self.builds.len() > MAX_HINTS || self.bytes > MAX_BYTES;
        let (_, (hint, _)) = self.builds.first_key_value().filter(|_| is_full)?;
        Some(hint)
    }

    /// Returns the events from which all of this comes.
    fn events(&self) -> Vec<Event> {
        let Self {
            builds,
            places: _,
            next: _,
            bytes: _,
            lost,
            lost_bytes: _,
            is_all_lost,
            has_unknown,
        } = self;
        let unknown = has_unknown.then_some(Event::Unknown);
        let all_lost = is_all_lost.then_some(Event::AllLost);
        let built = builds.values().cloned();
        let built = built.map(|(hint, result)| Event::Built(hint, result));
        let lost = lost.iter().cloned().map(Event::Lost);
        let first = unknown.into_iter().chain(all_lost);
        first.chain(built).chain(lost).collect()
    }
}

impl BuiltHints {
    /// Reads what an earlier process of this worker has noted in `path`. `is_empty`: the store has no results of steps.
    pub(super) fn open(path: &Path, is_empty: bool) -> Self {
        let mut known = KnownHints::default();
        let events = match HintFile::read(path) {
            Ok(Contents::Events(events)) => events,
            Ok(Contents::Damaged(events)) => {
                known.has_unknown = true;
                events
            }
            Ok(Contents::Missing) => {
                known.has_unknown = true;
                Vec::new()
            }
            Err(error) => {
                warn(path, &error);
                known.has_unknown = true;
                Vec::new()
            }
        };
        events.into_iter().for_each(|event| known.apply(event));
        if known.has_unknown && is_empty {
            known.lose_all();
        }
        let mut hints = Self {
            file: None,
            known,
            building: HashMap::new(),
        };
        hints.write_anew(path);
        hints
    }

    /// A job with this hint is about to be built.
    pub(super) fn begin(&mut self, hint: &str) {
        *self.building.entry(hint.to_owned()).or_default() += 1;
    }

    /// The build of such a job has ended: with a result, or without one.
    pub(super) fn end(&mut self, hint: &str, result: Option<StepId>) {
        if let Some(count) = self.building.get_mut(hint) {
            *count -= 1;
            if *count == 0 {
                self.building.remove(hint);
            }
        }
        // The empty hint means that there is none.
        if (1..=MAX_HINT_BYTES).contains(&hint.len()) {
            self.note(Event::Built(hint.to_owned(), result));
        }
        while let Some(hint) = self.known.surplus().map(str::to_owned) {
            self.note(Event::Lost(hint));
        }
    }

    /// Finds out what is lost. `exists` returns whether there is a result; `is_pruned`: some were removed just now.
    pub(super) fn check(&mut self, is_pruned: bool, exists: impl Fn(&StepId) -> bool) {
        let builds = self.known.builds.values();
        let (mut lost, mut without_result) = (Vec::new(), Vec::new());
        for (hint, result) in builds {
            match result {
                Some(id) if exists(id) => {}
                Some(_) => lost.push(hint.clone()),
                None => without_result.push(hint.clone()),
            }
        }
        if !is_pruned && lost.is_empty() {
            return;
        }
        if self.known.has_unknown {
            self.note(Event::AllLost);
        }
        for hint in lost.into_iter().chain(without_result) {
            self.note(Event::Lost(hint));
        }
    }

    /// Returns what is lost, and the scheduler does not know; `None` for nothing.
    pub(super) fn unreported(&self) -> Option<Pruned> {
        if self.known.is_all_lost {
            return Some(Pruned::All);
        }
        let lost = self.known.lost.iter();
        let hints: Vec<String> = lost
            .filter(|hint| !self.building.contains_key(*hint))
            .cloned()
            .collect();
        (!hints.is_empty()).then_some(Pruned::Hints(hints))
    }

    /// The scheduler knows that these are lost.
    pub(super) fn reported(&mut self, pruned: &Pruned) {
        match pruned {
            Pruned::Hints(hints) => {
                for hint in hints {
                    self.note(Event::Reported(hint.clone()));
                }
            }
            Pruned::All => {
                self.known.is_all_lost = false;
                if let Some(path) = self.file.as_ref().map(|file| file.path().to_owned()) {
                    self.write_anew(&path);
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        let Some(file) = &mut self.file else {
            return self.known.apply(event);
        };
        let appended = file.append(&event);
        self.known.apply(event);
        let (path, is_long) = (file.path().to_owned(), file.is_long());
        match appended {
            Ok(()) if !is_long => {}
            Ok(()) => self.write_anew(&path),
            Err(error) => self.give_up(&path, &error),
        }
    }

    fn write_anew(&mut self, path: &Path) {
        match HintFile::create(path, &self.known.events()) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.give_up(path, &error),
        }
    }

    /// Goes on without the file. One that is not up to date would hide what is lost after a restart.
    fn give_up(&mut self, path: &Path, error: &io::Error) {
        warn(path, error);
        self.file = None;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("Cannot remove {}: {error}", path.display());
            }
            _ => {}
        }
    }
}

fn warn(path: &Path, error: &io::Error) {
    tracing::warn!(
        "Cannot keep the cache hints of builds in {}: {error}; after a restart, all of them count as pruned when some \
         are",
        path.display()
    );
}
