//! How often each thing happened in a history.

use std::collections::BTreeMap;

/// How often each thing happened, to see that histories are rich.
#[derive(Debug, Default)]
pub(crate) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, others: &Self) {
        for (what, times) in &others.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }
}
