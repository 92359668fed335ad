//! Changes to results that could not be written. On a full disk that is all of them, and the code that makes room there
//! must see them all the same.

use std::collections::HashMap;

use super::Entry;
use super::rows::Change;
use crate::StepId;

/// Changes that are not in the file yet, in order.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    changes: Vec<Change>,
    /// Whether the last attempt to write failed.
    has_failed: bool,
}

impl Unwritten {
    pub(super) fn push(&mut self, change: Change) {
        if let Change::Remove { id } = &change {
            // It replaces all earlier changes of the result.
            self.changes.retain(|earlier| earlier.id() != id);
        }
        self.changes.push(change);
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Records that all changes are written.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Records that writing failed, and returns whether it succeeded the last time.
    pub(super) fn fails(&mut self) -> bool {
        !std::mem::replace(&mut self.has_failed, true)
    }

    /// Drops the changes of times of use. Additions and removals must be kept, or these results would never be pruned.
    pub(super) fn forget_uses(&mut self) {
        self.changes
            .retain(|change| !matches!(change, Change::Use { .. }));
    }

    /// Returns whether the result exists. `None` if no change is about it.
    pub(super) fn has(&self, id: &StepId) -> Option<bool> {
        let mut newest_first = self.changes.iter().rev();
        newest_first.find_map(|change| match change {
            Change::Add { id: known, .. } | Change::Use { id: known, .. } if known == id => {
                Some(true)
            }
            Change::Remove { id: known } if known == id => Some(false),
            _ => None,
        })
    }

    /// Returns the results based on `base`, of which `written` are those in the file.
    pub(super) fn children(&self, base: &StepId, mut written: Vec<StepId>) -> Vec<StepId> {
        for change in &self.changes {
            match change {
                Change::Add { id, base: of, .. } | Change::Use { id, base: of, .. } => {
                    if of.as_ref() == Some(base) && !written.contains(id) {
                        written.push(*id);
                    }
                }
                Change::Remove { id } => written.retain(|child| child != id),
            }
        }
        written
    }

    /// Returns all results, of which `written` are those in the file.
    pub(super) fn apply(&self, written: Vec<Entry>) -> Vec<Entry> {
        if self.is_empty() {
            return written;
        }
        let mut order: Vec<StepId> = written.iter().map(|entry| entry.id).collect();
        let mut entries: HashMap<StepId, Entry> =
            written.into_iter().map(|entry| (entry.id, entry)).collect();
        for change in &self.changes {
            match change {
                Change::Remove { id } => {
                    entries.remove(id);
                    order.retain(|known| known != id);
                }
                Change::Add { id, base, at } | Change::Use { id, base, at } => {
                    let entry = entries.entry(*id).or_insert_with(|| {
                        order.push(*id);
                        Entry {
                            id: *id,
                            base: *base,
                            created: *at,
                            used: *at,
                        }
                    });
                    entry.used = *at;
                    if matches!(change, Change::Add { .. }) {
                        entry.created = *at;
                    }
                }
            }
        }
        order.iter().filter_map(|id| entries.remove(id)).collect()
    }
}
