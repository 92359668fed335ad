//! Effects that are due, and those that wait for the disk.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::{Change, ChangeId, Effect, JobId};

/// What the caller must do, in order; and what it must not do yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ready: VecDeque<Effect>,
    /// Each with the last change that it tells of.
    held: VecDeque<(ChangeId, Effect)>,
    /// The number of the latest change.
    latest: ChangeId,
    /// The number of the latest change that is on disk.
    committed: ChangeId,
    /// The changes that are neither on disk nor discarded, and the jobs that they are about.
    unsaved: BTreeMap<ChangeId, JobId>,
}

impl Outbox {
    /// Takes the next effect that is due.
    pub(crate) fn next(&mut self) -> Option<Effect> {
        self.ready.pop_front()
    }

    /// Has a change saved. Returns its number.
    pub(crate) fn save(&mut self, change: Change) -> ChangeId {
        self.latest.0 += 1;
        self.unsaved.insert(self.latest, change.job());
        self.ready.push_back(Effect::Save(self.latest, change));
        self.latest
    }

    /// Adds an effect that no peer sees.
    pub(crate) fn at_once(&mut self, effect: Effect) {
        self.ready.push_back(effect);
    }

    /// Adds an effect that is due when all changes so far are on disk.
    pub(crate) fn once_saved(&mut self, effect: Effect) {
        if self.unsaved.is_empty() {
            self.ready.push_back(effect);
        } else {
            self.held.push_back((self.latest, effect));
        }
    }

    /// All changes up to this one are on disk. Returns the effects that are due by that, in order; the caller of this
    /// passes them on with [`at_once`](Self::at_once).
    pub(crate) fn committed(&mut self, change: ChangeId) -> Vec<Effect> {
        self.committed = self.committed.max(change.min(self.latest));
        while let Some(oldest) = self.unsaved.first_entry()
            && *oldest.key() <= self.committed
        {
            oldest.remove();
        }
        self.due()
    }

    /// The changes of these jobs that were never saved are not to be saved any more. Returns the effects that waited
    /// for nothing else.
    pub(crate) fn discard(&mut self, jobs: &BTreeSet<JobId>) -> Vec<Effect> {
        self.unsaved.retain(|_, about| !jobs.contains(about));
        self.due()
    }

    /// Takes the effects that wait for no change any more.
    fn due(&mut self) -> Vec<Effect> {
        let oldest = self.unsaved.first_key_value().map(|(change, _)| *change);
        let is_due = |waits_for: ChangeId| oldest.is_none_or(|oldest| oldest > waits_for);
        let due = self
            .held
            .iter()
            .take_while(|(waits_for, _)| is_due(*waits_for))
            .count();
        self.held.drain(..due).map(|(_, effect)| effect).collect()
    }

    /// These jobs are refused: those who wait for what is held about them are told so instead.
    pub(crate) fn refuse(&mut self, jobs: &BTreeSet<JobId>) {
        let ready = &mut self.ready;
        self.held.retain(|(_, effect)| match effect {
            Effect::Answer { request, job } | Effect::AnswerEnded { request, job }
                if jobs.contains(job) =>
            {
                let (request, job) = (*request, *job);
                ready.push_back(Effect::Refuse { request, job });
                false
            }
            Effect::Start { attempt, worker } if jobs.contains(&attempt.job) => {
                let (attempt, worker) = (*attempt, worker.clone());
                ready.push_back(Effect::Unassign { attempt, worker });
                false
            }
            Effect::Changed { job, .. } => !jobs.contains(job),
            _ => true,
        });
    }

    /// Returns the latest change that is on disk.
    pub(crate) fn last_committed(&self) -> ChangeId {
        self.committed
    }

    /// Tells whether every effect that waits does so for a change that is not on disk, in order.
    pub(crate) fn check(&self) -> bool {
        let waits = self.held.iter().map(|(change, _)| *change);
        let oldest = self.unsaved.first_key_value().map(|(change, _)| *change);
        let is_awaited = |change| oldest.is_some_and(|oldest| oldest <= change);
        self.committed <= self.latest
            && waits.clone().is_sorted()
            && waits.clone().all(is_awaited)
            && oldest.is_none_or(|oldest| oldest > self.committed)
    }
}
