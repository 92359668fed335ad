//! The scheduler's page with made-up numbers, so that documents about metrics can be checked.

use pool::{ByPriority, ClientId, ClientStats, Stats, WorkerName, WorkerStats};

use super::report::{LeaseReport, Report};
use super::stalls::Stalls;
use crate::durable::{JobsReport, PhaseSeconds};
use crate::history::History;
use crate::reactor::PoolReport;
use crate::web_delays::Delays;

/// Returns a page that has every metric of the scheduler, with each of its labels.
///
/// For the reference, and for tests of dashboards and alerts; the numbers mean nothing.
pub fn example_metrics() -> String {
    let workers = WorkerName::new("worker-1").map(|name| WorkerStats {
        name,
        queued: ByPriority::default(),
        running: 1,
    });
    let clients = ClientId::new("alice").map(|id| ClientStats {
        id,
        queued: ByPriority::default(),
    });
    let stats = Stats {
        workers: workers.into_iter().collect(),
        clients: clients.into_iter().collect(),
        ..Stats::default()
    };
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        pools: vec![PoolReport {
            name: "linux-x86_64".to_owned(),
            stats,
            history: History::default(),
            oldest_wait: 0.0,
            inactive: Vec::new(),
            versions: vec![("worker-1".to_owned(), "0.1.0".to_owned())],
        }],
        traffic: vat::Counters::default().read(),
        database: Default::default(),
        durable: JobsReport {
            phase_seconds: PhaseSeconds::of_pools(["linux-x86_64"]).read(),
            ..JobsReport::default()
        },
        lease: Some(LeaseReport {
            leads: true,
            number: 1,
            confirmed: 0.0,
            standbys: 1,
        }),
        stalls: Stalls::new().read(),
        web: Some(Default::default()),
        web_delays: Delays::new().read(),
        cpu: std::time::Duration::ZERO,
        started: 0,
    };
    report.text()
}
