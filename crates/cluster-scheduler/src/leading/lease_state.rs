//! What is known of the lease, for people and metrics.

use std::time::Duration;

use cluster_postgres::{Look, Peer};
use tokio::time::Instant;

/// What a scheduler is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// It waits for the lease.
    #[default]
    Standby,
    /// It has the lease.
    Leader,
}

/// What a scheduler knows of the lease and of the other schedulers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaseState {
    pub(crate) role: Role,
    /// The number of the latest lease that it knows.
    pub(crate) number: u64,
    /// The scheduler that leads, if it is another one.
    pub(crate) leader: Option<Peer>,
    /// The others, as they were when the database last told.
    pub(crate) others: Vec<Peer>,
    /// When the database last answered.
    pub(crate) answered: Option<Instant>,
}

/// A standby that has looked at the lease within this time would lead at once.
pub(crate) const PRESENT: Duration = Duration::from_secs(5);

impl LeaseState {
    /// The database has told a standby how the lease is.
    pub(crate) fn looked(&mut self, look: &Look) {
        self.number = look.number;
        self.leader = look.leader.clone().filter(|_| !look.has_expired);
        self.answered = Some(Instant::now());
    }

    /// The database has told a leader which others there are.
    pub(super) fn noted(&mut self, others: &[Peer]) {
        others.clone_into(&mut self.others);
        self.answered = Some(Instant::now());
    }

    /// Returns how long ago the database answered last.
    pub(crate) fn since_answer(&self) -> Duration {
        self.answered.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Returns the standbys that would lead at once.
    pub(crate) fn standbys(&self) -> impl Iterator<Item = &Peer> {
        self.others
            .iter()
            .filter(|peer| (-1.0..=PRESENT.as_secs_f64()).contains(&peer.age))
    }
}
