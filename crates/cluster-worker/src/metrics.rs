//! The worker's own metrics, as text for Prometheus.
//!
//! The numbers are read off the state when asked for, so that none can be forgotten somewhere.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use obuilder::store::Space;

use crate::machine::{Filesystem, MachineStats, Memory};
use crate::outcome::Outcome;
use crate::running::Load;

/// What [`Stats::text`] is, for HTTP.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often something was done, and how long that took in all.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    count: Cell<u64>,
    time: Cell<Duration>,
}

impl Summary {
    pub(crate) fn add(&self, time: Duration) {
        self.count.set(self.count.get() + 1);
        self.time.set(self.time.get() + time);
    }
}

/// The statistics of an OBuilder builder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BuilderStats {
    /// Steps that were found in the cache, and those that were run.
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Cancelled steps that did not stop in time.
    pub(crate) not_stopped: u64,
    /// How much of the store's filesystem is free.
    pub(crate) free_percent: f64,
    /// Whether the last health check succeeded, and how long it took.
    pub(crate) healthy: bool,
    pub(crate) check_time: Duration,
}

impl Default for BuilderStats {
    fn default() -> Self {
        Self {
            hits: 0,
            misses: 0,
            not_stopped: 0,
            free_percent: 100.0,
            healthy: true,
            check_time: Duration::ZERO,
        }
    }
}

/// What a worker has done since it started.
#[derive(Debug)]
pub(crate) struct Stats {
    started: SystemTime,
    pub(crate) jobs_accepted: Cell<u64>,
    /// By result: ok, fail, cancelled, error.
    job_time: [Summary; 4],
    pub(crate) push_time: Summary,
    pub(crate) prune_time: Summary,
    /// Cancelled jobs that did not stop in time.
    pub(crate) not_stopped: Cell<u64>,
}

impl Stats {
    pub(crate) fn new(started: SystemTime) -> Self {
        Self {
            started,
            jobs_accepted: Cell::new(0),
            job_time: Default::default(),
            push_time: Summary::default(),
            prune_time: Summary::default(),
            not_stopped: Cell::new(0),
        }
    }

    /// Counts a job that has ended.
    pub(crate) fn job_ended(&self, outcome: &Outcome, time: Duration) {
        let [ok, fail, cancelled, error] = &self.job_time;
        let summary = match outcome {
            Outcome::Succeeded(_) => ok,
            Outcome::Failed { .. } | Outcome::LimitReached(_) => fail,
            Outcome::Cancelled(_) | Outcome::Abandoned => cancelled,
            Outcome::Unfit { .. } | Outcome::Crashed => error,
        };
        summary.add(time);
    }

    /// Returns the text.
    pub(crate) fn text(&self, reading: &Reading) -> String {
        let Reading {
            load,
            capacity,
            builder,
            unfit,
            machine,
            cpu,
        } = reading;
        let Self {
            started,
            jobs_accepted,
            job_time,
            push_time,
            prune_time,
            not_stopped,
        } = self;
        let started = started
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut page = Page(String::new());
        page.family(
            "ocluster_worker_jobs_accepted_total",
            "counter",
            "Number of jobs accepted in total",
        );
        page.value(
            "ocluster_worker_jobs_accepted_total",
            "",
            jobs_accepted.get(),
        );
        page.family(
            "ocluster_worker_running_jobs",
            "gauge",
            "Number of jobs currently running, by weight",
        );
        page.value("ocluster_worker_running_jobs", "", load.in_use);
        page.jobs(*load, *capacity);
        page.family(
            "ocluster_worker_job_time_seconds",
            "summary",
            "Time jobs ran",
        );
        for (result, summary) in ["ok", "fail", "cancelled", "error"].iter().zip(job_time) {
            if summary.count.get() > 0 {
                page.summary(
                    "ocluster_worker_job_time_seconds",
                    &format!("{{result=\"{result}\"}}"),
                    summary,
                );
            }
        }
        page.family(
            "ocluster_worker_docker_push_time_seconds",
            "summary",
            "Time spent pushing images",
        );
        page.summary("ocluster_worker_docker_push_time_seconds", "", push_time);
        page.family(
            "ocluster_worker_docker_prune_time_seconds",
            "summary",
            "Time spent pruning images",
        );
        page.summary("ocluster_worker_docker_prune_time_seconds", "", prune_time);
        page.family(
            "ocluster_worker_not_stopped_total",
            "counter",
            "Cancelled jobs that were reported as ended while a process of theirs still ran",
        );
        let steps = builder.as_ref().map_or(0, |builder| builder.not_stopped);
        page.value(
            "ocluster_worker_not_stopped_total",
            "",
            not_stopped.get() + steps,
        );
        if let Some(builder) = builder {
            page.builder(*builder);
        }
        page.unfit(unfit);
        page.machine(machine);
        page.family(
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds",
        );
        page.value("process_cpu_seconds_total", "", cpu.as_secs_f64());
        page.family(
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds",
        );
        page.value("process_start_time_seconds", "", started.as_secs_f64());
        page.0
    }
}

/// What is read off a worker when its metrics are asked for.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) load: Load,
    pub(crate) capacity: u32,
    /// OBuilder's statistics, if this worker has it.
    pub(crate) builder: Option<BuilderStats>,
    /// Why it takes no jobs, if it takes none: a word for each reason.
    pub(crate) unfit: BTreeSet<&'static str>,
    pub(crate) machine: MachineStats,
    /// The time that this process has computed.
    pub(crate) cpu: Duration,
}

/// Returns a page that has every metric of a worker, with each of its labels.
///
/// For the reference, and for tests of dashboards and alerts; the numbers mean nothing.
pub fn example_metrics() -> String {
    let stats = Stats::new(SystemTime::UNIX_EPOCH);
    stats.job_ended(
        &Outcome::Cancelled(cluster_api::CancelledBy::Client),
        Duration::ZERO,
    );
    stats.text(&Reading {
        builder: Some(BuilderStats::default()),
        machine: MachineStats::example(),
        ..Reading::default()
    })
}

/// Metrics as Prometheus reads them.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{name}{labels} {value}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, "gauge", help);
        self.value(name, "", value);
    }

    fn jobs(&mut self, load: Load, capacity: u32) {
        let Load {
            jobs,
            waiting,
            in_use: _,
        } = load;
        self.family(
            "ocluster_worker_jobs",
            "gauge",
            "Number of jobs on this worker, running or waiting until they fit into its capacity",
        );
        for (state, count) in [("running", jobs - waiting), ("waiting", waiting)] {
            let labels = format!("{{state=\"{state}\"}}");
            self.value("ocluster_worker_jobs", &labels, count);
        }
        self.gauge(
            "ocluster_worker_capacity",
            "How much this worker runs at once, by weight",
            capacity,
        );
    }

    fn unfit(&mut self, reasons: &BTreeSet<&'static str>) {
        self.family(
            "ocluster_worker_unfit",
            "gauge",
            "Always 1: the worker takes no jobs, for the reason in the label",
        );
        for reason in reasons {
            let labels = format!("{{reason=\"{reason}\"}}");
            self.value("ocluster_worker_unfit", &labels, 1);
        }
    }

    fn machine(&mut self, stats: &MachineStats) {
        let MachineStats {
            filesystems,
            load,
            memory,
            cpus,
        } = stats;
        self.filesystems(filesystems);
        if let Some([one, five, fifteen]) = load {
            let families = [
                ("ocluster_worker_load1", "minute", one),
                ("ocluster_worker_load5", "5 minutes", five),
                ("ocluster_worker_load15", "15 minutes", fifteen),
            ];
            for (name, time, value) in families {
                let help = format!("Load average of the machine over the last {time}");
                self.gauge(name, &help, value);
            }
        }
        if let Some(Memory { total, available }) = memory {
            self.gauge(
                "ocluster_worker_memory_size_bytes",
                "Memory of the machine",
                total,
            );
            self.gauge(
                "ocluster_worker_memory_available_bytes",
                "Memory that programs could get without swapping",
                available,
            );
        }
        if let Some(cpus) = cpus {
            self.gauge(
                "ocluster_worker_cpus",
                "Number of processors that the worker may use",
                cpus,
            );
        }
    }

    fn filesystems(&mut self, filesystems: &[Filesystem]) {
        self.family(
            "ocluster_worker_filesystem_readable",
            "gauge",
            "Whether the file system answered when it was asked for its size",
        );
        for Filesystem { of, space } in filesystems {
            self.value(
                "ocluster_worker_filesystem_readable",
                &format!("{{filesystem=\"{of}\"}}"),
                u8::from(space.is_some()),
            );
        }
        type Of = fn(Space) -> u64;
        let families: [(&str, &str, Of); 4] = [
            (
                "size_bytes",
                "Size of the file system, without what is reserved for root",
                |space| space.total,
            ),
            (
                "available_bytes",
                "Free space of the file system",
                |space| space.free,
            ),
            (
                "files",
                "Number of files that the file system can hold, 0 if it has no limit",
                |space| space.total_files,
            ),
            (
                "files_available",
                "Number of files that can still be created",
                |space| space.free_files,
            ),
        ];
        for (name, help, value) in families {
            let name = format!("ocluster_worker_filesystem_{name}");
            self.family(&name, "gauge", help);
            for Filesystem { of, space } in filesystems {
                if let Some(space) = space {
                    let labels = format!("{{filesystem=\"{of}\"}}");
                    self.value(&name, &labels, value(*space));
                }
            }
        }
    }

    fn builder(&mut self, stats: BuilderStats) {
        let BuilderStats {
            hits,
            misses,
            free_percent,
            healthy,
            check_time,
            // Counted with other jobs.
            not_stopped: _,
        } = stats;
        self.gauge(
            "ocluster_worker_cache_hits",
            "OBuilder steps found in the cache",
            hits,
        );
        self.gauge(
            "ocluster_worker_cache_misses",
            "OBuilder steps that had to be run",
            misses,
        );
        self.gauge(
            "ocluster_worker_obuilder_space_free",
            "Free space of the OBuilder store in percent",
            free_percent,
        );
        self.gauge(
            "ocluster_worker_unhealthy",
            "Whether the last health check failed",
            u8::from(!healthy),
        );
        self.gauge(
            "ocluster_worker_healthcheck_time_seconds",
            "Time the last health check took",
            check_time.as_secs_f64(),
        );
    }

    fn summary(&mut self, name: &str, labels: &str, summary: &Summary) {
        self.line(format_args!(
            "{name}_sum{labels} {}",
            summary.time.get().as_secs_f64()
        ));
        self.line(format_args!("{name}_count{labels} {}", summary.count.get()));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let written = writeln!(self.0, "{line}");
        debug_assert!(written.is_ok());
    }
}

/// Returns how long this process has computed.
pub(crate) fn cpu_time() -> Duration {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(usage.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(usage.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use expect_test::expect_file;
    use obuilder::store::Space;

    use super::{BuilderStats, Reading, Stats};
    use crate::machine::{Filesystem, MachineStats, Memory};
    use crate::outcome::Outcome;
    use crate::running::Load;

    #[test]
    fn the_page() {
        let stats = Stats::new(SystemTime::UNIX_EPOCH + Duration::from_millis(1_600_000_000_500));
        stats.jobs_accepted.set(3);
        stats.job_ended(
            &Outcome::Succeeded(String::new()),
            Duration::from_millis(1500),
        );
        stats.job_ended(&Outcome::Succeeded(String::new()), Duration::from_secs(2));
        stats.job_ended(&Outcome::Crashed, Duration::from_secs(1));
        stats.push_time.add(Duration::from_secs(4));
        let builder = BuilderStats {
            hits: 7,
            misses: 2,
            not_stopped: 1,
            free_percent: 81.5,
            healthy: true,
            check_time: Duration::from_millis(45),
        };
        expect_file!["metrics/page.txt"].assert_eq(&stats.text(&Reading {
            load: Load {
                jobs: 2,
                waiting: 1,
                in_use: 2,
            },
            capacity: 4,
            builder: Some(builder),
            unfit: std::collections::BTreeSet::from(["docker", "state-disk"]),
            machine: machine(),
            cpu: Duration::from_millis(250),
        }));
    }

    fn machine() -> MachineStats {
        let space = Space {
            total: 1000,
            free: 400,
            total_files: 10,
            free_files: 7,
        };
        let filesystem = |of, space| Filesystem { of, space };
        MachineStats {
            filesystems: vec![filesystem("state", Some(space)), filesystem("docker", None)],
            load: Some([0.5, 1.25, 2.0]),
            memory: Some(Memory {
                total: 4096,
                available: 1024,
            }),
            cpus: Some(2),
        }
    }
}
