//! Pages under load: how long they take, and what they cost the jobs.
//!
//! A pool has a long queue and many workers, and visitors look at its pages like people: each at one page a second,
//! with a stream of events. First the jobs take some seconds; then they do nothing, and the pool completes as many as
//! it can, in turns with visitors and without.

mod http;
mod load;
mod processor_time;
mod streams;
mod visits;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::http::Visitor;
use self::load::Load;
use self::processor_time::SchedulerTime;
pub(super) use self::streams::measure as measure_streams;
use self::visits::{Pages, Visit, Visits};
use super::report::Report;
use super::rig::{Rig, Side};
use super::{SETTLING, Sizes};
use cli::error::CommandError;

/// How long jobs take at first.
const JOB_MILLIS: u64 = 5_000;

/// How often the same is measured with visitors and without.
const ROUNDS: u32 = 4;

/// How often to look whether the queue is full.
const GLANCE: Duration = Duration::from_millis(50);

pub(super) async fn measure(
    rig: &Rig,
    sizes: &Sizes,
    report: &mut Report,
) -> Result<(), CommandError> {
    let admin = rig.admin("pages").await?;
    let job = load::log_job(rig).await?;
    let clients = load::add_clients(&admin.service).await?;
    let mut visitors = Vec::new();
    let admin = std::rc::Rc::new(admin);
    for number in 0..sizes.visitors {
        let visitor = Visitor::enter(&load::link(&admin).await?).await?;
        visitors.push(visitor.elsewhere(number));
    }
    let pages = Pages {
        pool: rig.pool.clone(),
        worker: load::worker_name(0),
        job,
    };
    let load = Arc::new(Load::default());
    load.job_millis.store(JOB_MILLIS, Ordering::Relaxed);
    let mut workers = Side::start({
        let (rig, sizes, load) = (rig.clone(), sizes.clone(), Arc::clone(&load));
        move || load::run_jobs(rig, sizes, load)
    });
    let mut queue = Side::start({
        let (rig, sizes, load) = (rig.clone(), sizes.clone(), Arc::clone(&load));
        move || load::queue_jobs(rig, clients, sizes, load)
    });
    let (come, are_there) = watch::channel(false);
    let visits = Arc::new(Visits::default());
    let mut looking = Side::start({
        let visits = Arc::clone(&visits);
        move || visits::look(visitors, pages, visits, are_there)
    });
    let measured = Measured {
        pid: rig.pid,
        sizes,
        load,
        come,
        visits,
        report,
    };
    tokio::select! {
        measured = measured.run() => measured?,
        failed = workers.outcome() => match failed? {},
        failed = queue.outcome() => match failed? {},
        failed = looking.outcome() => match failed? {},
    }
    drop((looking, queue, workers));
    load::remove_clients(&admin.service).await
}

/// What the measurements need.
struct Measured<'a> {
    /// The process of the scheduler, if it is known.
    pid: Option<u32>,
    sizes: &'a Sizes,
    load: Arc<Load>,
    come: watch::Sender<bool>,
    visits: Arc<Visits>,
    report: &'a mut Report,
}

/// What happened in a part of the benchmark.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// How long it took, in seconds.
    took: f64,
    /// How many jobs were completed.
    jobs: f64,
    /// How many pages were read.
    pages: f64,
    /// How long the visitors had a processor, in seconds.
    own: f64,
    /// How long the threads of the scheduler had one, if its process is known.
    scheduler: Option<SchedulerTime>,
}

impl Measured<'_> {
    async fn run(mut self) -> Result<(), CommandError> {
        let Sizes {
            queued,
            page_workers,
            ..
        } = *self.sizes;
        let all = u64::from(queued.saturating_add(page_workers));
        while self.load.queued.load(Ordering::Relaxed) < all {
            tokio::time::sleep(GLANCE).await;
        }
        let turn = self.turn(true).await?;
        let seconds = JOB_MILLIS / 1000;
        self.add_visits(&format!("jobs of {seconds} s"));
        self.add_costs(&format!("jobs of {seconds} s"), &[turn]);

        self.load.job_millis.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(JOB_MILLIS)).await;
        let mut turns = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            // Each is first as often as the other, so that what changes with time changes both.
            for with in [round % 2 == 0, round % 2 == 1] {
                let turn = self.turn(with).await?;
                if let Some(turns) = turns.get_mut(usize::from(with)) {
                    turns.push(turn);
                }
            }
        }
        self.add_visits("no-op jobs");
        let [without, with] = &turns;
        self.add_costs("no-op jobs, no visitors", without);
        self.add_costs("no-op jobs", with);
        self.add_ratios(without, with);
        Ok(())
    }

    /// Reports how many jobs were completed, and what part of that was left with visitors.
    fn add_ratios(&mut self, without: &[Turn], with: &[Turn]) {
        let setup = self.setup("no-op jobs");
        let rates = |turns: &[Turn]| turns.iter().map(Turn::rate).collect::<Vec<_>>();
        let (alone, visited) = (rates(without), rates(with));
        let ratios = alone.iter().zip(&visited);
        let ratios: Vec<f64> = ratios.map(|(alone, visited)| visited / alone).collect();
        // As if the visitors were on another machine: what they took would have been there for the jobs.
        let processors = std::thread::available_parallelism();
        let processors = processors.map_or(1.0, |count| count.get() as f64);
        let elsewhere = ratios.iter().zip(with);
        let elsewhere: Vec<f64> = elsewhere
            .map(|(ratio, turn)| ratio / (1.0 - turn.own / turn.took / processors))
            .collect();
        let lowest = alone.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = alone.iter().copied().fold(0.0, f64::max);
        for (metric, value, unit) in [
            ("completed, no visitors", median(&alone), "jobs/s"),
            ("the same, slowest turn", lowest, "jobs/s"),
            ("the same, fastest turn", highest, "jobs/s"),
            ("completed, visitors", median(&visited), "jobs/s"),
            ("ratio", median(&ratios), ""),
            ("ratio, visitors elsewhere", median(&elsewhere), ""),
        ] {
            self.report.add("pages", &setup, metric, value, unit);
        }
    }

    /// Reports what took how much of the processors.
    fn add_costs(&mut self, jobs: &str, turns: &[Turn]) {
        let sum = |value: &dyn Fn(&Turn) -> f64| turns.iter().map(value).sum::<f64>();
        let (took, jobs_done, pages) = (
            sum(&|turn| turn.took),
            sum(&|turn| turn.jobs),
            sum(&|turn| turn.pages),
        );
        let own = sum(&|turn| turn.own);
        let of = |part: fn(SchedulerTime) -> Duration| {
            let times = turns.iter().map(|turn| Some(part(turn.scheduler?)));
            let times: Option<Vec<Duration>> = times.collect();
            Some(times?.iter().sum::<Duration>().as_secs_f64())
        };
        let mut add = |metric, value: Option<f64>, whole: f64, scale: f64, unit| {
            if let Some(value) = value
                && whole > 0.0
            {
                let value = value / whole * scale;
                let setup = format!("processor time, {jobs}");
                self.report.add("pages", setup, metric, value, unit);
            }
        };
        let (reactor, web, others) = (
            of(|time| time.jobs),
            of(|time| time.pages),
            of(|time| time.others),
        );
        add("thread of the jobs", reactor, took, 100.0, "%");
        add("thread of the jobs, a job", reactor, jobs_done, 1e6, "us");
        add("threads of the pages", web, took, 100.0, "%");
        add("threads of the pages, a page", web, pages, 1e3, "ms");
        add("other threads of the scheduler", others, took, 100.0, "%");
        add("visitors themselves", Some(own), took, 100.0, "%");
        add("visitors themselves, a page", Some(own), pages, 1e3, "ms");
    }

    fn setup(&self, jobs: &str) -> String {
        let Sizes {
            queued,
            page_workers,
            visitors,
            ..
        } = self.sizes;
        format!("{jobs}, {queued} queued, {page_workers} workers, {visitors} visitors")
    }

    /// Measures for a while.
    async fn turn(&mut self, has_visitors: bool) -> Result<Turn, CommandError> {
        self.come.send_replace(has_visitors);
        // They come within a second, and finish what they read.
        tokio::time::sleep(Duration::from_secs(1) + SETTLING).await;
        let before = self.counts()?;
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(self.sizes.seconds)).await;
        let after = self.counts()?;
        let took = begun.elapsed().as_secs_f64();
        self.come.send_replace(false);
        let scheduler = after.scheduler.zip(before.scheduler);
        Ok(Turn {
            took,
            jobs: after.jobs - before.jobs,
            pages: after.pages - before.pages,
            own: after.own - before.own,
            scheduler: scheduler.map(|(after, before)| after.since(before)),
        })
    }

    /// Returns what has happened so far.
    fn counts(&self) -> Result<Turn, CommandError> {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        Ok(Turn {
            took: 0.0,
            jobs: count(&self.load.completed),
            pages: count(&self.visits.count),
            own: count(&self.visits.own_micros) / 1e6,
            scheduler: self.pid.map(SchedulerTime::read).transpose()?,
        })
    }

    /// Reports how long each page took, and all of them together.
    fn add_visits(&mut self, jobs: &str) {
        let visits = self.visits.pages.lock();
        let visits = visits.map(|mut visits| std::mem::take(&mut *visits));
        let visits = visits.unwrap_or_default();
        let all: Vec<Visit> = visits.values().flatten().copied().collect();
        for (page, visits) in &visits {
            self.add(format!("{page}, {jobs}"), visits);
        }
        self.add(self.setup(jobs), &all);
    }

    fn add(&mut self, setup: String, visits: &[Visit]) {
        let mut server: Vec<f64> = visits.iter().map(|visit| visit.server).collect();
        let mut whole: Vec<f64> = visits.iter().map(|visit| visit.whole).collect();
        server.sort_by(f64::total_cmp);
        whole.sort_by(f64::total_cmp);
        for (metric, times, permille) in [
            ("at the server, p50", &server, 500),
            ("at the server, p99", &server, 990),
            ("at the server, slowest", &server, 1000),
            ("to the last byte, p50", &whole, 500),
            ("to the last byte, p99", &whole, 990),
        ] {
            let index = times.len().saturating_mul(permille) / 1000;
            let time = times.get(index).or(times.last()).copied();
            let time = time.unwrap_or_default();
            self.report.add("pages", &setup, metric, time, "ms");
        }
    }
}

impl Turn {
    /// Returns how many jobs were completed in a second.
    fn rate(&self) -> f64 {
        self.jobs / self.took
    }
}

/// Returns the median of some numbers; with an even count, the mean of the middle two.
fn median(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
    match numbers.len() % 2 {
        0 => f64::midpoint(at(middle.saturating_sub(1)), at(middle)),
        _ => at(middle),
    }
}
