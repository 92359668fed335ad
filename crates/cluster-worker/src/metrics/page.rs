//! The worker's page of metrics.

use std::time::SystemTime;

use obuilder::shared::{MissCause, SharedStats};
use obuilder::store::Space;
use prometheus_text::{Family, Kind, Labels, Page};

use super::{BuilderStats, Reading, Stats, Summary};
use crate::machine::{Filesystem, MachineStats, Memory};
use crate::running::Load;

/// The content type of the page, for HTTP: upstream's to the letter.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Stats {
    /// Returns the page.
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
        let mut page = Page::default();
        page.counter(
            "ocluster_worker_jobs_accepted_total",
            "Number of jobs accepted in total",
            jobs_accepted.get(),
        );
        write_load(&mut page, *load, *capacity);
        write_job_times(&mut page, job_time);
        write_docker_times(&mut page, push_time, prune_time);
        let steps = builder.as_ref().map_or(0, |builder| builder.not_stopped);
        page.counter(
            "ocluster_worker_not_stopped_total",
            "Cancelled jobs that were reported as ended while a process of theirs still ran",
            not_stopped.get() + steps,
        );
        if let Some(builder) = builder {
            write_builder(&mut page, *builder);
        }
        let help = "Always 1: the worker takes no jobs, for the reason in the label";
        let mut family = page.family("ocluster_worker_unfit", Kind::Gauge, help);
        for reason in unfit {
            family.sample(&[("reason", reason)], 1);
        }
        write_machine(&mut page, machine);
        let started = started.duration_since(SystemTime::UNIX_EPOCH);
        page.process(*cpu, started.unwrap_or_default().as_secs_f64());
        page.into_text()
    }
}

fn write_load(page: &mut Page, load: Load, capacity: u32) {
    let Load {
        jobs,
        waiting,
        in_use,
    } = load;
    let help = "Number of jobs currently running, by weight";
    page.gauge("ocluster_worker_running_jobs", help, in_use);
    let help = "Number of jobs on this worker, running or waiting until they fit into its capacity";
    let mut family = page.family("ocluster_worker_jobs", Kind::Gauge, help);
    family.sample(&[("state", "running")], jobs - waiting);
    family.sample(&[("state", "waiting")], waiting);
    let help = "How much this worker runs at once, by weight";
    page.gauge("ocluster_worker_capacity", help, capacity);
}

fn write_job_times(page: &mut Page, times: &[Summary; 4]) {
    let name = "ocluster_worker_job_time_seconds";
    let mut family = page.family(name, Kind::Summary, "Time jobs ran");
    for (result, time) in ["ok", "fail", "cancelled", "error"].into_iter().zip(times) {
        if time.count.get() > 0 {
            time.write(&mut family, &[("result", result)]);
        }
    }
}

fn write_docker_times(page: &mut Page, push: &Summary, prune: &Summary) {
    let name = "ocluster_worker_docker_push_time_seconds";
    let mut family = page.family(name, Kind::Summary, "Time spent pushing images");
    push.write(&mut family, &[]);
    let name = "ocluster_worker_docker_prune_time_seconds";
    let mut family = page.family(name, Kind::Summary, "Time spent pruning images");
    prune.write(&mut family, &[]);
}

impl Summary {
    fn write(&self, family: &mut Family<'_>, labels: Labels<'_>) {
        family.summary(labels, self.count.get(), self.time.get().as_secs_f64());
    }
}

fn write_builder(page: &mut Page, stats: BuilderStats) {
    let BuilderStats {
        hits,
        misses,
        shared,
        free_percent,
        healthy,
        check_time,
        // Counted with other jobs.
        not_stopped: _,
    } = stats;
    let help = "OBuilder steps found in the cache";
    page.gauge("ocluster_worker_cache_hits", help, hits);
    let help = "OBuilder steps that had to be run";
    page.gauge("ocluster_worker_cache_misses", help, misses);
    if let Some(shared) = shared {
        write_shared(page, &shared);
    }
    let help = "Free space of the OBuilder store in percent";
    page.gauge("ocluster_worker_obuilder_space_free", help, free_percent);
    let help = "Whether the last health check failed";
    page.gauge("ocluster_worker_unhealthy", help, u8::from(!healthy));
    page.gauge(
        "ocluster_worker_healthcheck_time_seconds",
        "Time the last health check took",
        check_time.as_secs_f64(),
    );
}

fn write_shared(page: &mut Page, stats: &SharedStats) {
    let SharedStats {
        hits,
        misses,
        received,
        fetching,
        shared,
        not_shared,
        sent,
        waiting,
    } = stats;
    let name = "ocluster_worker_shared_lookups_total";
    let help = "OBuilder steps looked up in the shared results, by outcome";
    let mut family = page.family(name, Kind::Counter, help);
    family.sample(&[("result", "fetched")], *hits);
    for (cause, count) in MissCause::ALL.into_iter().zip(misses) {
        family.sample(&[("result", cause.word())], *count);
    }
    let name = "ocluster_worker_shared_bytes_total";
    let help = "Bytes of shared results, by direction";
    let mut family = page.family(name, Kind::Counter, help);
    family.sample(&[("direction", "received")], *received);
    family.sample(&[("direction", "sent")], *sent);
    page.counter(
        "ocluster_worker_shared_fetch_seconds_total",
        "Time spent fetching shared results",
        fetching.as_secs_f64(),
    );
    let name = "ocluster_worker_shared_uploads_total";
    let help = "OBuilder results uploaded to the shared results, by outcome";
    let mut family = page.family(name, Kind::Counter, help);
    family.sample(&[("result", "ok")], *shared);
    family.sample(&[("result", "fail")], *not_shared);
    let help = "OBuilder results that wait to be uploaded";
    page.gauge("ocluster_worker_shared_waiting", help, *waiting);
}

fn write_machine(page: &mut Page, stats: &MachineStats) {
    let MachineStats {
        filesystems,
        load,
        memory,
        cpus,
    } = stats;
    write_filesystems(page, filesystems);
    if let Some([one, five, fifteen]) = load {
        for (name, time, value) in [
            ("ocluster_worker_load1", "minute", one),
            ("ocluster_worker_load5", "5 minutes", five),
            ("ocluster_worker_load15", "15 minutes", fifteen),
        ] {
            let help = format!("Load average of the machine over the last {time}");
            page.gauge(name, &help, value);
        }
    }
    if let Some(Memory { total, available }) = memory {
        let help = "Memory of the machine";
        page.gauge("ocluster_worker_memory_size_bytes", help, total);
        let help = "Memory that programs could get without swapping";
        page.gauge("ocluster_worker_memory_available_bytes", help, available);
    }
    if let Some(cpus) = cpus {
        let help = "Number of processors that the worker may use";
        page.gauge("ocluster_worker_cpus", help, cpus);
    }
}

fn write_filesystems(page: &mut Page, filesystems: &[Filesystem]) {
    let help = "Whether the file system answered when it was asked for its size";
    let mut family = page.family("ocluster_worker_filesystem_readable", Kind::Gauge, help);
    for Filesystem { of, space } in filesystems {
        family.sample(&[("filesystem", of)], u8::from(space.is_some()));
    }
    type Part = fn(Space) -> u64;
    let families: [(&str, &str, Part); 4] = [
        (
            "ocluster_worker_filesystem_size_bytes",
            "Size of the file system, without what is reserved for root",
            |space| space.total,
        ),
        (
            "ocluster_worker_filesystem_available_bytes",
            "Free space of the file system",
            |space| space.free,
        ),
        (
            "ocluster_worker_filesystem_files",
            "Number of files that the file system can hold, 0 if it has no limit",
            |space| space.total_files,
        ),
        (
            "ocluster_worker_filesystem_files_available",
            "Number of files that can still be created",
            |space| space.free_files,
        ),
    ];
    for (name, help, part) in families {
        let mut family = page.family(name, Kind::Gauge, help);
        for Filesystem { of, space } in filesystems {
            if let Some(space) = space {
                family.sample(&[("filesystem", of)], part(*space));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use expect_test::expect_file;
    use obuilder::store::Space;

    use crate::machine::{Filesystem, MachineStats, Memory};
    use crate::metrics::{BuilderStats, Reading, Stats};
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
            shared: Some(obuilder::shared::SharedStats {
                hits: 3,
                misses: [4, 0, 1, 0, 0, 2, 0],
                received: 12_300_000,
                fetching: Duration::from_millis(1500),
                shared: 5,
                not_shared: 1,
                sent: 4096,
                waiting: 2,
            }),
            misses: 2,
            not_stopped: 1,
            free_percent: 81.5,
            healthy: true,
            check_time: Duration::from_millis(45),
        };
        expect_file!["page.txt"].assert_eq(&stats.text(&Reading {
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
