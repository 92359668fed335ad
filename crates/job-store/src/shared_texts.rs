//! Texts that many jobs have.

use std::collections::BTreeSet;
use std::sync::Arc;

use jobs::NewJob;
use pool::{CacheHint, ClientId};

/// The texts that many jobs have, once each: they stay in memory.
#[derive(Default)]
pub(crate) struct SharedTexts {
    clients: BTreeSet<ClientId>,
    pools: BTreeSet<Arc<str>>,
    hints: BTreeSet<CacheHint>,
}

impl SharedTexts {
    /// Replaces the texts of a job by those of earlier ones that are equal.
    pub(crate) fn share(&mut self, new: &mut NewJob) {
        share(&mut self.clients, &mut new.client);
        share(&mut self.pools, &mut new.pool);
        share(&mut self.hints, &mut new.hint);
    }
}

/// Replaces a text by the copy that is known, or makes it that.
fn share<T: Ord + Clone>(known: &mut BTreeSet<T>, text: &mut T) {
    match known.get(text) {
        Some(shared) => *text = shared.clone(),
        None => {
            known.insert(text.clone());
        }
    }
}
