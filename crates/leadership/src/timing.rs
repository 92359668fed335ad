//! How long everything takes.

use core::time::Duration;

/// How long everything takes. No promise depends on these: they decide only how soon another scheduler leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease lasts after the renewal.
    pub lease: Duration,
    /// How long after a renewal the next one follows.
    pub renewal: Duration,
    /// How long after a look a standby looks again; also how long after a failure anybody asks again.
    pub look: Duration,
    /// How long to wait for an answer of the database. Less than a lease, so that one lost answer costs none.
    pub answer: Duration,
    /// How long a leader that a standby cannot reach waits for a sign of life of any peer.
    pub silence: Duration,
    /// How long a leader that is asked to stop may take to finish the write that is on its way.
    pub drain: Duration,
    /// How long a scheduler that has given up its lease leaves it to others. So short that it leads again within ten
    /// seconds if the standby fails right then.
    pub pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            renewal: Duration::from_secs(1),
            look: Duration::from_millis(500),
            answer: Duration::from_secs(2),
            silence: Duration::from_secs(3),
            drain: Duration::from_millis(500),
            pause: Duration::from_secs(5),
        }
    }
}
