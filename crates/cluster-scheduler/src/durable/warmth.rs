//! Which jobs of the history were warm.

use std::collections::HashSet;

/// Tells, of jobs in the order in which they started, which were warm: those whose worker had run one with the same
/// hint before. Nothing else is known of caches afterwards.
#[derive(Default)]
pub(crate) struct Warmth(HashSet<(String, String, String)>);

impl Warmth {
    /// A worker of a pool ran a job with this hint. Returns whether the job was warm; one without a hint never is.
    pub(crate) fn ran(&mut self, pool: &str, worker: &str, hint: &str) -> bool {
        let key = (pool.to_owned(), worker.to_owned(), hint.to_owned());
        !self.0.insert(key) && !hint.is_empty()
    }
}
