//! Which nested builds a `copy` may name.

use std::collections::{BTreeSet, HashMap};

use bstr::{BStr, BString};

/// The builds that may be copied from: those declared earlier here, and what is in scope around.
#[derive(Default)]
pub(crate) struct Scope {
    /// Every declaration, the innermost last.
    declared: Vec<BString>,
    /// How many of them have this name.
    counts: HashMap<BString, usize>,
}

impl Scope {
    /// Adds a build.
    pub(crate) fn enter(&mut self, name: BString) {
        *self.counts.entry(name.clone()).or_default() += 1;
        self.declared.push(name);
    }

    /// Returns where to come back to.
    pub(crate) fn mark(&self) -> usize {
        self.declared.len()
    }

    /// Forgets what was added since then.
    pub(crate) fn leave_to(&mut self, mark: usize) {
        for name in self.declared.drain(mark..) {
            if let Some(count) = self.counts.get_mut(&name) {
                *count -= 1;
            }
        }
    }

    pub(crate) fn has(&self, name: &BStr) -> bool {
        self.counts.get(name).is_some_and(|count| *count > 0)
    }

    /// Returns the names, in order, each once.
    pub(crate) fn names(&self) -> Vec<BString> {
        let names: BTreeSet<&BString> = self.declared.iter().collect();
        names.into_iter().cloned().collect()
    }
}
