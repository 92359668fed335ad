//! What workers report of their machines, once a minute, for graphs: it is in their own metrics.
//!
//! Only while pages are served are workers asked. What is kept is bounded: some 32 KiB for a worker and a day, of at
//! most [`MAX_WORKERS`] workers.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cluster_api::{MetricsSource, Worker};
use cluster_web::cluster::{Disk, Reading};
use pool::{Time, WorkerName};

use crate::cluster::Cluster;

/// How often a worker is asked.
const PERIOD: Duration = Duration::from_secs(60);

/// How often to look for workers that are to be asked.
const LOOK: Duration = Duration::from_secs(1);

/// How many workers are asked each time. So a minute is enough for [`MAX_WORKERS`].
const MAX_ASKED: usize = 50;

/// How many workers are asked, of all pools.
const MAX_WORKERS: usize = 2_000;

/// How many readings of a worker are kept: those of a day.
const MAX_READINGS: usize = 24 * 60;

/// How long readings are kept, in seconds.
const MAX_AGE: i64 = 24 * 60 * 60;

/// Disks are shown as they were, if that is not longer ago.
const CURRENT: Duration = Duration::from_secs(5 * 60);

/// How long a worker may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The largest page that is read, in bytes. Ours have some KiB.
const MAX_PAGE: usize = 256 << 10;

/// How many disks of a worker are kept.
const MAX_DISKS: usize = 4;

/// The longest name of a disk, in bytes.
const MAX_DISK_NAME: usize = 20;

/// What is kept for a number that was not reported.
const NONE: u16 = u16::MAX;

/// What is kept of all workers, by pool and name.
#[derive(Default)]
pub(super) struct Readings(RefCell<HashMap<String, BTreeMap<WorkerName, History>>>);

/// What is kept of a worker.
#[derive(Default)]
struct History {
    /// When it was last asked; `None` if it never was.
    asked: Option<Time>,
    /// The names of its disks, in the order of [`Kept::disks`].
    disks: Vec<Arc<str>>,
    readings: VecDeque<Kept>,
}

/// A reading. There may be three million: keep it small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    /// In seconds since the scheduler's start.
    at: u32,
    /// The load of each processor, in percent.
    load: u16,
    /// How much of its capacity its jobs used, in percent.
    jobs: u16,
    /// How much of each disk is free, in thousandths.
    disks: [u16; MAX_DISKS],
}

/// What is read in a page of metrics.
#[derive(Debug, Default, PartialEq)]
struct Metrics<'a> {
    load: Option<f64>,
    processors: Option<f64>,
    running: Option<f64>,
    capacity: Option<f64>,
    /// The name, the size and what is free of each disk.
    disks: BTreeMap<&'a str, (f64, f64)>,
}

impl Readings {
    /// Asks workers. Never ends.
    pub(super) async fn run(self: Rc<Self>, cluster: Rc<Cluster>) {
        let mut interval = tokio::time::interval(LOOK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let mut left = MAX_ASKED;
            for (name, pool) in cluster.pools() {
                let now = pool.now();
                let mut count = self.forget_old(name.as_str(), now);
                let due = pool.chosen_workers(|worker| {
                    left > 0 && self.is_due(name.as_str(), worker, now, &mut count) && {
                        left -= 1;
                        true
                    }
                });
                for (worker, capability) in due {
                    let readings = Rc::clone(&self);
                    let pool = Rc::clone(pool);
                    tokio::task::spawn_local(async move {
                        if let Some(page) = ask(&capability).await {
                            let pool_name = pool.name().as_str();
                            readings.add(pool_name, &worker, pool.now(), &page);
                        }
                    });
                }
            }
        }
    }

    /// Forgets workers of a pool that have not been there for a day. Returns how many workers of all pools are left.
    fn forget_old(&self, pool: &str, now: Time) -> usize {
        let mut pools = self.0.borrow_mut();
        if let Some(workers) = pools.get_mut(pool) {
            workers.retain(|_, history| {
                let asked = history.asked;
                asked.is_some_and(|asked| now.since(asked).as_secs() < MAX_AGE.unsigned_abs())
            });
        }
        pools.values().map(BTreeMap::len).sum()
    }

    /// Returns whether a worker is to be asked now, and records that it is.
    fn is_due(&self, pool: &str, worker: &WorkerName, now: Time, count: &mut usize) -> bool {
        let mut pools = self.0.borrow_mut();
        let workers = pools.entry(pool.to_owned()).or_default();
        if let Some(history) = workers.get_mut(worker) {
            let is_due = history.asked.is_none_or(|asked| now >= asked + PERIOD);
            if is_due {
                history.asked = Some(now);
            }
            return is_due;
        }
        if *count >= MAX_WORKERS {
            return false;
        }
        *count += 1;
        let history = History {
            asked: Some(now),
            ..History::default()
        };
        workers.insert(worker.clone(), history);
        true
    }

    /// Keeps what a page says, if the worker is known.
    fn add(&self, pool: &str, worker: &WorkerName, now: Time, page: &str) {
        let mut pools = self.0.borrow_mut();
        let workers = pools.get_mut(pool);
        if let Some(history) = workers.and_then(|workers| workers.get_mut(worker)) {
            history.add(now, &Metrics::of(page));
        }
    }

    /// Returns the readings of a worker, the latest last.
    pub(super) fn of(&self, pool: &str, worker: &WorkerName, now: Time) -> Vec<Reading> {
        let pools = self.0.borrow();
        let history = pools.get(pool).and_then(|workers| workers.get(worker));
        let history = history.into_iter();
        history
            .flat_map(|history| history.since(now, MAX_AGE))
            .collect()
    }

    /// Returns the disks of the workers of a pool, by name.
    pub(super) fn disks(&self, pool: &str, now: Time) -> HashMap<String, Vec<Disk>> {
        let pools = self.0.borrow();
        let workers = pools.get(pool).into_iter().flatten();
        let disks = workers.filter_map(|(name, history)| {
            let latest = *history.readings.back()?;
            let reading = history.reading(latest, now);
            (reading.ago < CURRENT).then(|| (name.to_string(), reading.disks))
        });
        disks.collect()
    }
}

async fn ask(worker: &Worker) -> Option<String> {
    let answer = tokio::time::timeout(ANSWER_LIMIT, worker.metrics(MetricsSource::Agent)).await;
    // One that does not answer has a gap in its graph; its state says more.
    let page = answer.ok()?.ok()?.data;
    (page.len() <= MAX_PAGE).then_some(page)
}

impl History {
    fn add(&mut self, now: Time, metrics: &Metrics<'_>) {
        let mut disks = [NONE; MAX_DISKS];
        for (name, (size, free)) in &metrics.disks {
            let known = self.disks.iter().position(|known| **known == **name);
            let index = known.unwrap_or(self.disks.len());
            if let Some(place) = disks.get_mut(index).filter(|_| *size > 0.0) {
                *place = rounded(1_000.0 * (free / size).clamp(0.0, 1.0));
                if known.is_none() {
                    self.disks.push(Arc::from(*name));
                }
            }
        }
        let part = |part: Option<f64>, whole: Option<f64>| match (part, whole) {
            (Some(part), Some(whole)) if whole > 0.0 => rounded(100.0 * part / whole),
            _ => NONE,
        };
        let kept = Kept {
            at: u32::try_from(now.micros() / 1_000_000).unwrap_or(u32::MAX),
            load: part(metrics.load, metrics.processors),
            jobs: part(metrics.running, metrics.capacity),
            disks,
        };
        let is_empty = kept.load == NONE && kept.jobs == NONE && disks == [NONE; MAX_DISKS];
        if is_empty {
            // It is a worker of another kind.
            return;
        }
        if self.readings.len() == MAX_READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(kept);
    }

    fn since(&self, now: Time, seconds: i64) -> impl Iterator<Item = Reading> {
        let first = now.micros() / 1_000_000 - seconds;
        let readings = self.readings.iter();
        let readings = readings.skip_while(move |kept| i64::from(kept.at) < first);
        readings.map(move |kept| self.reading(*kept, now))
    }

    fn reading(&self, kept: Kept, now: Time) -> Reading {
        let Kept {
            at,
            load,
            jobs,
            disks,
        } = kept;
        let at = Time::from_micros(i64::from(at) * 1_000_000);
        let known = |number: u16| (number != NONE).then(|| f64::from(number));
        let disks = self.disks.iter().zip(disks).filter_map(|(name, free)| {
            Some(Disk {
                name: Arc::clone(name),
                free: known(free)? / 1_000.0,
            })
        });
        Reading {
            ago: now.since(at),
            load: known(load).map(|load| load / 100.0),
            jobs: known(jobs).map(|jobs| jobs / 100.0),
            disks: disks.collect(),
        }
    }
}

/// Returns a number as it is kept: cut if it is too large.
fn rounded(number: f64) -> u16 {
    number.round().clamp(0.0, f64::from(NONE - 1)) as u16
}

impl<'a> Metrics<'a> {
    /// Reads a page. Lines of other metrics, and those that are not understood, are passed over.
    fn of(page: &'a str) -> Self {
        let mut metrics = Self::default();
        for line in page.lines() {
            let Some(line) = line.strip_prefix("ocluster_worker_") else {
                continue;
            };
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Some(value) = value.parse().ok().filter(|value: &f64| value.is_finite()) else {
                continue;
            };
            match name {
                "load1" => metrics.load = Some(value),
                "cpus" => metrics.processors = Some(value),
                "running_jobs" => metrics.running = Some(value),
                "capacity" => metrics.capacity = Some(value),
                _ => metrics.add_disk(name, value),
            }
        }
        // One whose size or free space is missing.
        metrics
            .disks
            .retain(|_, (size, free)| size.is_finite() && free.is_finite());
        metrics
    }

    fn add_disk(&mut self, name: &'a str, value: f64) {
        let Some((name, label)) = name.split_once("{filesystem=\"") else {
            return;
        };
        let Some(disk) = label.strip_suffix("\"}").filter(|disk| is_disk(disk)) else {
            return;
        };
        if self.disks.len() >= MAX_DISKS && !self.disks.contains_key(disk) {
            return;
        }
        let (size, free) = self.disks.entry(disk).or_insert((f64::NAN, f64::NAN));
        match name {
            "filesystem_size_bytes" => *size = value,
            "filesystem_available_bytes" => *free = value,
            _ => {}
        }
    }
}

fn is_disk(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= MAX_DISK_NAME && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP ocluster_worker_load1 Load average of the machine over the last minute
ocluster_worker_load1 0.5
ocluster_worker_cpus 2
ocluster_worker_running_jobs 3
ocluster_worker_capacity 4
ocluster_worker_filesystem_size_bytes{filesystem=\"state\"} 1000
ocluster_worker_filesystem_available_bytes{filesystem=\"state\"} 400
ocluster_worker_filesystem_available_bytes{filesystem=\"docker\"} 400
ocluster_worker_filesystem_files{filesystem=\"state\"} 10
process_cpu_seconds_total 0.25
";

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_page_of_a_worker_becomes_a_reading() {
        let mut history = History::default();
        history.add(at(100), &Metrics::of(PAGE));
        let readings: Vec<Reading> = history.since(at(160), MAX_AGE).collect();
        let expected = Reading {
            ago: Duration::from_secs(60),
            load: Some(0.25),
            jobs: Some(0.75),
            disks: vec![Disk {
                name: "state".into(),
                free: 0.4,
            }],
        };
        assert_eq!(readings, [expected]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_ends_after_a_day() {
        let mut history = History::default();
        for minute in 0..3_000 {
            history.add(at(60 * minute), &Metrics::of(PAGE));
        }
        assert_eq!(history.readings.len(), MAX_READINGS);
        let now = at(60 * 3_000 + 12 * 60 * 60);
        assert_eq!(history.since(now, MAX_AGE).count(), MAX_READINGS / 2);
    }

    #[test]
    fn a_page_that_is_none_leaves_nothing() {
        let many: String = (0..100)
            .map(|disk| {
                let free = format!(
                    "ocluster_worker_filesystem_available_bytes{{filesystem=\"d{disk}\"}} 1\n"
                );
                free + &format!(
                    "ocluster_worker_filesystem_size_bytes{{filesystem=\"d{disk}\"}} 2\n"
                )
            })
            .collect();
        assert_eq!(Metrics::of(&many).disks.len(), MAX_DISKS);
        for page in [
            "",
            "ocluster_worker_load1 NaN\nocluster_worker_cpus 2",
            "ocluster_worker_load1 1e999\nocluster_worker_cpus 0",
            "ocluster_worker_filesystem_size_bytes{filesystem=\"<script>\"} 1\n\
             ocluster_worker_filesystem_available_bytes{filesystem=\"<script>\"} 1",
            "ocluster_worker_",
        ] {
            let mut history = History::default();
            history.add(at(1), &Metrics::of(page));
            assert!(history.readings.is_empty(), "{page}");
        }
    }

    #[test]
    fn workers_beyond_the_limit_are_not_asked() {
        let readings = Readings::default();
        let mut count = MAX_WORKERS - 1;
        let name = |name: &str| WorkerName::new(name).unwrap();
        assert!(readings.is_due("p", &name("w1"), at(0), &mut count));
        assert!(!readings.is_due("p", &name("w2"), at(0), &mut count));
        // One that is known is asked again after a minute.
        assert!(!readings.is_due("p", &name("w1"), at(59), &mut count));
        assert!(readings.is_due("p", &name("w1"), at(60), &mut count));
        assert_eq!(readings.forget_old("p", at(60 + MAX_AGE)), 0);
    }
}
