//! The lease of the database, and who waits for it.

use prometheus_text::{Kind, Page};

use crate::leading::{LeaseState, Role};

/// What a scheduler knows of the lease.
pub(crate) struct LeaseReport {
    pub(crate) leads: bool,
    pub(crate) number: u64,
    /// How long ago the database answered last, in seconds.
    pub(crate) confirmed: f64,
    /// How many standbys would lead at once, as a leader knows.
    pub(crate) standbys: usize,
}

impl LeaseReport {
    pub(crate) fn of(lease_state: &LeaseState) -> Self {
        Self {
            leads: lease_state.role == Role::Leader,
            number: lease_state.number,
            confirmed: lease_state.since_answer().as_secs_f64(),
            standbys: lease_state.standbys().count(),
        }
    }
}

/// Writes what a scheduler with a database knows of the lease, whether it leads or waits.
pub(super) fn write(page: &mut Page, lease: &LeaseReport) {
    let LeaseReport {
        leads,
        number,
        confirmed,
        standbys,
    } = *lease;
    let help = "Whether this scheduler leads: 1, or 0 for a standby";
    page.gauge("ocluster_leader", help, u8::from(leads));
    let help = "Number of the latest lease; it grows by 1 when another scheduler leads";
    page.gauge("ocluster_lease_number", help, number);
    let help = "Time since the database last answered about the lease";
    page.family("ocluster_lease_confirmed_seconds", Kind::Gauge, help)
        .sample(&[], confirmed);
    if leads {
        let help = "Number of standbys that would lead at once";
        page.gauge("ocluster_standbys", help, standbys);
    }
}
