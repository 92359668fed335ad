//! The scheduler's own page.

mod durable;
mod lease;
mod wanted;
mod web;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster_web::WebStats;
use pool::{ByPriority, Stats};
use prometheus_text::{Family, Histogram, Kind, Page, cpu_time};
use vat::{Counters, Traffic};

pub(crate) use self::lease::LeaseReport;
use self::wanted::workers_wanted;
use super::stalls::Stalls;
use crate::cluster::Cluster;
use crate::db::WriterStats;
use crate::durable::JobsReport;
use crate::reactor::PoolReport;

/// What upstream calls the backlog among the queues. A worker may be called so, too.
const INCOMING: &str = "incoming";

/// Everything that the page is made from.
pub(crate) struct Report {
    pub(crate) version: &'static str,
    /// In the order of their names.
    pub(crate) pools: Vec<PoolReport>,
    pub(crate) traffic: Traffic,
    pub(crate) database: WriterStats,
    pub(crate) durable: JobsReport,
    /// `None` if no other scheduler can lead.
    pub(crate) lease: Option<LeaseReport>,
    pub(crate) stalls: Histogram,
    /// `None` if there are no pages.
    pub(crate) web: Option<Arc<WebStats>>,
    pub(crate) web_delays: Histogram,
    /// How long this process has computed, and when it started, in seconds since 1970.
    pub(crate) cpu: Duration,
    pub(crate) started: i64,
}

impl Report {
    pub(crate) fn take(cluster: &Cluster, counters: &Counters, stalls: &Stalls) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            pools: cluster.pools().values().map(|pool| pool.report()).collect(),
            traffic: counters.read(),
            database: cluster.database(),
            durable: cluster.durable_jobs().report(),
            lease: cluster.leader().lease_state().as_ref().map(LeaseReport::of),
            stalls: stalls.read(),
            web: cluster.web_stats(),
            web_delays: cluster.web_delays().read(),
            cpu: cpu_time(),
            started: cluster.started().0,
        }
    }

    /// Returns the page.
    pub(crate) fn text(&self) -> String {
        let mut page = Page::default();
        self.jobs(&mut page);
        self.times(&mut page);
        self.workers(&mut page);
        self.queues(&mut page);
        self.connections(&mut page);
        self.database(&mut page);
        durable::write(&mut page, &self.durable);
        if let Some(lease) = &self.lease {
            lease::write(&mut page, lease);
        }
        if let Some(web) = &self.web {
            web::write(&mut page, web, &self.web_delays);
        }
        self.process(&mut page);
        page.into_text()
    }

    fn jobs(&self, page: &mut Page) {
        let help = "Number of jobs submitted to the pool";
        let mut family = page.family("ocluster_pool_jobs_submitted_total", Kind::Counter, help);
        self.each(&mut family, |pool| pool.stats.submitted);
        let help = "Number of jobs cancelled while queued";
        let mut family = page.family("ocluster_pool_jobs_cancelled_total", Kind::Counter, help);
        self.each(&mut family, |pool| pool.stats.cancelled);
        let help = "Number of jobs accepted by workers";
        let mut family = page.family("ocluster_pool_jobs_accepted_total", Kind::Counter, help);
        self.each(&mut family, |pool| pool.stats.accepted);

        let help = "Number of accepted jobs that have ended, by result";
        let mut family = page.family("ocluster_pool_jobs_ended_total", Kind::Counter, help);
        for PoolReport { name, history, .. } in &self.pools {
            for (result, count) in [
                ("ok", history.succeeded),
                ("fail", history.failed),
                ("cancelled", history.cancelled),
                ("lost", history.lost),
            ] {
                family.sample(&[("pool", name), ("result", result)], count);
            }
        }
    }

    fn times(&self, page: &mut Page) {
        let help = "Time that each accepted job was queued";
        let mut family = page.family("ocluster_pool_job_wait_seconds", Kind::Histogram, help);
        for PoolReport { name, history, .. } in &self.pools {
            family.histogram(&[("pool", name)], &history.waited);
        }
        let help = "Time from acceptance to the end of each finished job";
        let mut family = page.family("ocluster_pool_job_run_seconds", Kind::Histogram, help);
        for PoolReport { name, history, .. } in &self.pools {
            family.histogram(&[("pool", name)], &history.ran);
        }
        let help = "Age of the oldest queued job; 0 if none is queued";
        let mut family = page.family("ocluster_pool_oldest_queued_seconds", Kind::Gauge, help);
        self.each(&mut family, |pool| pool.oldest_wait);

        let help = "Number of jobs whose start was forecast, by whether they started in that range";
        let mut family = page.family("ocluster_pool_forecasts_total", Kind::Counter, help);
        for PoolReport { name, history, .. } in &self.pools {
            for (held, count) in [
                ("yes", history.forecasts_held),
                ("no", history.forecasts_missed),
            ] {
                family.sample(&[("pool", name), ("held", held)], count);
            }
        }
    }

    fn workers(&self, page: &mut Page) {
        let help = "Number of connected workers";
        let mut family = page.family("ocluster_pool_workers_connected", Kind::Gauge, help);
        self.each(&mut family, |pool| pool.stats.connected);
        let help = "Aggregate capacity of connected workers";
        let mut family = page.family("ocluster_pool_workers_capacity", Kind::Gauge, help);
        self.each(&mut family, |pool| pool.stats.capacity);
        let help = "Number of workers that would run all queued and running jobs at once";
        let mut family = page.family("ocluster_pool_workers_wanted", Kind::Gauge, help);
        self.each(&mut family, |pool| {
            workers_wanted(&pool.stats, pool.history.last_capacity)
        });
        let help = "Number of workers ready to accept a new job";
        let mut family = page.family("ocluster_pool_workers_ready", Kind::Gauge, help);
        self.each(&mut family, |pool| pool.stats.ready);
        let help = "Number of connected workers set to inactive";
        let mut family = page.family("ocluster_pool_workers_paused", Kind::Gauge, help);
        self.each(&mut family, |pool| pool.stats.paused);
        let help = "Number of connected workers that are unresponsive";
        let mut family = page.family("ocluster_pool_workers_not_answering", Kind::Gauge, help);
        self.each(&mut family, |pool| pool.stats.not_answering);

        let help = "Always 1: one sample for each reason why a connected worker takes no jobs";
        let mut family = page.family("ocluster_pool_worker_inactive", Kind::Gauge, help);
        for PoolReport { name, inactive, .. } in &self.pools {
            for (worker, reason) in inactive {
                family.sample(&[("pool", name), ("worker", worker), ("reason", reason)], 1);
            }
        }

        let help = "Number of jobs running on the worker";
        let mut family = page.family("ocluster_pool_worker_running_jobs", Kind::Gauge, help);
        for PoolReport { name, stats, .. } in &self.pools {
            for worker in &stats.workers {
                let labels = [("pool", name.as_str()), ("worker", worker.name.as_str())];
                family.sample(&labels, worker.running);
            }
        }

        let help = "Always 1: one sample for each connected worker, with its version as a label";
        let mut family = page.family("ocluster_pool_worker_info", Kind::Gauge, help);
        for PoolReport { name, versions, .. } in &self.pools {
            for (worker, version) in versions {
                let labels = [
                    ("pool", name.as_str()),
                    ("version", version.as_str()),
                    ("worker", worker.as_str()),
                ];
                family.sample(&labels, 1);
            }
        }

        let help = "Number of worker registrations";
        let mut family = page.family("ocluster_pool_registrations_total", Kind::Counter, help);
        self.each(&mut family, |pool| pool.history.registrations);
        let help = "Number of registrations of workers that were known before";
        let mut family = page.family("ocluster_pool_reconnections_total", Kind::Counter, help);
        self.each(&mut family, |pool| pool.history.reconnections);
    }

    fn queues(&self, page: &mut Page) {
        let help = "Number of queued jobs, in the backlog (incoming) or assigned to a worker";
        let mut family = page.family("ocluster_pool_queue_length", Kind::Gauge, help);
        for PoolReport { name, stats, .. } in &self.pools {
            for (queue, ByPriority { high, low }) in queues(stats) {
                let labels = |priority| {
                    [
                        ("pool", name.as_str()),
                        ("priority", priority),
                        ("queue", queue),
                    ]
                };
                family.sample(&labels("high"), high);
                family.sample(&labels("low"), low);
            }
        }
        let help = "Number of queued jobs of the client";
        let mut family = page.family(
            "ocluster_scheduler_client_submitted_jobs",
            Kind::Gauge,
            help,
        );
        for PoolReport { name, stats, .. } in &self.pools {
            for client in &stats.clients {
                let id = client.id.as_str();
                let labels = |priority| {
                    [
                        ("client", id),
                        ("pool", name.as_str()),
                        ("priority", priority),
                    ]
                };
                family.sample(&labels("high"), client.queued.high);
                family.sample(&labels("low"), client.queued.low);
            }
        }
    }

    fn connections(&self, page: &mut Page) {
        let Traffic {
            connections,
            connections_opened,
            connections_rejected,
            messages_in,
            messages_out,
            bytes_in,
            bytes_out,
        } = self.traffic;
        let gauge = Kind::Gauge;
        let counter = Kind::Counter;
        for (name, kind, help, value) in [
            (
                "capnp_net_connections",
                gauge,
                "Number of live Cap'n Proto connections",
                connections,
            ),
            (
                "ocluster_connections_opened_total",
                counter,
                "Number of connections established",
                connections_opened,
            ),
            (
                "ocluster_connections_rejected_total",
                counter,
                "Number of connections rejected before they were established",
                connections_rejected,
            ),
            (
                "capnp_net_messages_inbound_received_total",
                counter,
                "Number of messages received",
                messages_in,
            ),
            (
                "capnp_net_messages_outbound_enqueued_total",
                counter,
                "Number of messages sent or waiting to be sent",
                messages_out,
            ),
            (
                "ocluster_connections_received_bytes_total",
                counter,
                "Bytes received, without TLS overhead",
                bytes_in,
            ),
            (
                "ocluster_connections_sent_bytes_total",
                counter,
                "Bytes sent, without TLS overhead",
                bytes_out,
            ),
        ] {
            page.family(name, kind, help).sample(&[], value);
        }
    }

    fn database(&self, page: &mut Page) {
        let WriterStats {
            queued,
            unsaved,
            is_failing,
            commits,
            failures,
            commit_time,
        } = self.database;
        let help = "Number of writes waiting for the disk";
        page.gauge("ocluster_database_queued_writes", help, queued);
        let help = "Number of failed writes that will be retried";
        page.gauge("ocluster_database_unsaved_writes", help, unsaved);
        let help = "Whether the last write to the database failed";
        page.gauge("ocluster_database_failing", help, u8::from(is_failing));
        let help = "Number of commits that failed";
        page.counter("ocluster_database_commits_failed_total", help, failures);
        let help = "Time spent committing to the database";
        page.family("ocluster_database_commit_seconds", Kind::Summary, help)
            .summary(&[], commits, commit_time.as_secs_f64());
    }

    fn process(&self, page: &mut Page) {
        process(page, self.version, &self.stalls, (self.cpu, self.started));
    }

    /// Writes one sample for each pool.
    fn each<V: std::fmt::Display>(
        &self,
        family: &mut Family<'_>,
        value: impl Fn(&PoolReport) -> V,
    ) {
        for pool in &self.pools {
            family.sample(&[("pool", &pool.name)], value(pool));
        }
    }
}

/// Returns the page of a scheduler that waits.
pub(crate) fn standby_page(lease: &LeaseReport, stalls: &Stalls, started: i64) -> String {
    let mut page = Page::default();
    lease::write(&mut page, lease);
    let version = env!("CARGO_PKG_VERSION");
    process(&mut page, version, &stalls.read(), (cpu_time(), started));
    page.into_text()
}

fn process(page: &mut Page, version: &str, stalls: &Histogram, (cpu, started): (Duration, i64)) {
    let help = "Delay of task wake-ups by the event loop";
    page.family("ocluster_event_loop_delay_seconds", Kind::Histogram, help)
        .histogram(&[], stalls);
    let help = "Always 1; the version is in the label";
    page.family("ocluster_build_info", Kind::Gauge, help)
        .sample(&[("version", version)], 1);
    page.process(cpu, started);
}

/// Returns what is in each queue. A page with the same series twice would be refused as a whole, so a worker that is
/// called as the backlog is counted with it.
fn queues(stats: &Stats) -> BTreeMap<&str, ByPriority> {
    let mut queues = BTreeMap::from([(INCOMING, stats.backlog)]);
    for worker in &stats.workers {
        let queue = queues.entry(worker.name.as_str()).or_default();
        queue.high += worker.queued.high;
        queue.low += worker.queued.low;
    }
    queues
}

#[cfg(test)]
mod tests;
