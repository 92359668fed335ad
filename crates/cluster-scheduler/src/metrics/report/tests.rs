//! The whole page of a known state, as scrapers get it.

use std::time::Duration;

use cluster_api::{Phase, PhaseKind};
use expect_test::expect_file;
use pool::{ByPriority, Capacity, ClientId, ClientStats, Stats, WorkerName, WorkerStats};
use prometheus_text::Histogram;
use vat::Traffic;

use super::{LeaseReport, PoolReport, Report};
use crate::db::WriterStats;
use crate::durable::{JobsReport, LogStoreReport, LogStoreStats, PhaseHistograms, PhaseSeconds};
use crate::history::{History, JobResult};

/// Returns the numbers of a pool that has seen everything, with unusual names.
fn busy_stats() -> Stats {
    let queued = |high, low| ByPriority { high, low };
    let worker = |name, queued, running| WorkerStats {
        name: WorkerName::new(name).unwrap(),
        queued,
        running,
    };
    Stats {
        submitted: 12,
        cancelled: 1,
        accepted: 6,
        connected: 2,
        capacity: 8,
        ready: 0,
        paused: 1,
        not_answering: 1,
        backlog: queued(1, 2),
        workers: vec![
            worker(r#"a "quoted" \ one"#, queued(0, 1), 2),
            worker("incoming", queued(3, 4), 0),
        ],
        clients: vec![ClientStats {
            id: ClientId::new("älice").unwrap(),
            queued: queued(4, 7),
        }],
    }
}

/// Returns the history of that pool.
fn busy_history() -> History {
    let mut history = History::default();
    history.registered(false, Capacity::new(4));
    history.registered(true, Capacity::new(4));
    history.waited.add(0.25);
    history.waited.add(200_000.0);
    history.job_ended(JobResult::Succeeded, 30.5);
    history.job_ended(JobResult::Failed, 5.0);
    history.forecast_checked(true);
    history.forecast_checked(true);
    history.forecast_checked(false);
    history
}

/// Returns how long the phases of a job took.
fn phase_seconds() -> PhaseHistograms {
    let seconds = PhaseSeconds::of_pools(["busy"]);
    for (kind, ended, cached) in [
        (PhaseKind::Source, Some(20), false),
        (PhaseKind::Step, None, false),
        (PhaseKind::Step, Some(11), true),
        (PhaseKind::Push, Some(100_000), false),
    ] {
        let phase = Phase {
            kind,
            name: String::new(),
            log_offset: 0,
            started: Duration::from_secs(10),
            ended: ended.map(Duration::from_secs),
            cached,
        };
        seconds.add("busy".into(), &phase);
    }
    seconds.read()
}

/// Returns the numbers of durable jobs, each another one.
fn durable_jobs() -> JobsReport {
    JobsReport {
        stats: jobs::Stats {
            queued: 1,
            running: 2,
            away: 3,
            oldest_unacknowledged: None,
            totals: jobs::Totals {
                succeeded: 4,
                failed: 5,
                cancelled: 6,
                timed_out: 7,
                lost: 8,
                retried: 9,
                adopted: 10,
            },
        },
        store: job_store::CommitterStats {
            queued: 11,
            is_failing: true,
            commits: 12,
            failures: 13,
            commit_time: Duration::from_millis(2500),
            cleanup_failures: 17,
        },
        log_bytes: 14,
        logs_failing: true,
        oldest_unacknowledged: Duration::from_millis(15_500),
        phase_seconds: phase_seconds(),
        log_store: Some(LogStoreReport {
            oldest_waiting: Duration::from_millis(18_500),
            stats: LogStoreStats {
                waiting: 19,
                oldest: None,
                uploads: 20,
                upload_bytes: 21,
                upload_time: Duration::from_millis(22_500),
                failures: 23,
                read_bytes: 24,
                cached_bytes: 25,
                away_since: Some(pool::Time::from_secs(26)),
            },
        }),
    }
}

/// Returns two pools, one of which is idle.
fn report() -> Report {
    let mut stalls = Histogram::new(&[0.01, 1.0]);
    stalls.add(0.5);
    Report {
        version: "1.2.3",
        pools: vec![
            PoolReport {
                name: "busy".to_owned(),
                stats: busy_stats(),
                history: busy_history(),
                oldest_wait: 90.5,
                inactive: vec![("incoming".to_owned(), "state-disk".to_owned())],
                versions: vec![("w1".to_owned(), "0.1.0".to_owned())],
            },
            PoolReport {
                name: r"C:\idle".to_owned(),
                stats: Stats::default(),
                history: History::default(),
                oldest_wait: 0.0,
                inactive: Vec::new(),
                versions: Vec::new(),
            },
        ],
        traffic: Traffic {
            connections: 1,
            connections_opened: 2,
            connections_rejected: 3,
            messages_in: 4,
            messages_out: 5,
            bytes_in: 6,
            bytes_out: 7,
        },
        database: WriterStats {
            queued: 1,
            unsaved: 2,
            is_failing: true,
            commits: 3,
            failures: 1,
            commit_time: Duration::from_millis(1500),
        },
        durable: durable_jobs(),
        lease: Some(LeaseReport {
            leads: true,
            number: 27,
            confirmed: 28.5,
            standbys: 29,
        }),
        stalls,
        web: Some(Default::default()),
        web_delays: Histogram::new(&[0.01]),
        cpu: Duration::from_millis(2_250),
        started: 1_600_000_000,
    }
}

#[test]
fn the_page() {
    expect_file!["page.txt"].assert_eq(&report().text());
}

#[test]
fn no_series_is_there_twice() {
    let text = report().text();
    let mut series: Vec<_> = text
        .lines()
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();
    series.sort_unstable();
    let all = series.len();
    series.dedup();
    assert_eq!(series.len(), all);
}
