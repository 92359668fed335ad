//! Pages under load: how long they take, and what they cost the jobs.
//!
//! A pool has a long queue and many workers, and visitors look at its pages like people: each at one page a second,
//! with a stream of events. First the jobs take some seconds; then they do nothing, and the pool completes as many as
//! it can, in turns with visitors and without.

mod http;
mod load;
mod streams;
mod visits;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::http::Visitor;
use self::load::Load;
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
    for _ in 0..sizes.visitors {
        visitors.push(Visitor::enter(&load::link(&admin).await?).await?);
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
    let visits = Visits::default();
    let mut looking = Side::start({
        let visits = Arc::clone(&visits);
        move || visits::look(visitors, pages, visits, are_there)
    });
    let measured = Measured {
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
    sizes: &'a Sizes,
    load: Arc<Load>,
    come: watch::Sender<bool>,
    visits: Arc<Mutex<std::collections::BTreeMap<&'static str, Vec<Visit>>>>,
    report: &'a mut Report,
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
        self.turn(true).await;
        let seconds = JOB_MILLIS / 1000;
        self.add_visits(&format!("jobs of {seconds} s"));

        self.load.job_millis.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(JOB_MILLIS)).await;
        let mut rates = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            // Each is first as often as the other, so that what changes with time changes both.
            for with in [round % 2 == 0, round % 2 == 1] {
                let rate = self.turn(with).await;
                if let Some(rates) = rates.get_mut(usize::from(with)) {
                    rates.push(rate);
                }
            }
        }
        self.add_visits("no-op jobs");
        let [without, with] = rates.map(|rates| rates.iter().sum::<f64>() / f64::from(ROUNDS));
        let setup = self.setup("no-op jobs");
        let report = &mut self.report;
        report.add("pages", &setup, "completed, no visitors", without, "jobs/s");
        report.add("pages", &setup, "completed, visitors", with, "jobs/s");
        report.add("pages", &setup, "ratio", with / without, "");
        Ok(())
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

    /// Measures for a while, and returns how many jobs were completed in a second.
    async fn turn(&mut self, has_visitors: bool) -> f64 {
        self.come.send_replace(has_visitors);
        // They come within a second, and finish what they read.
        tokio::time::sleep(Duration::from_secs(1) + SETTLING).await;
        let before = self.load.completed.load(Ordering::Relaxed);
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(self.sizes.seconds)).await;
        let after = self.load.completed.load(Ordering::Relaxed);
        let took = begun.elapsed().as_secs_f64();
        let completed = u32::try_from(after - before).unwrap_or(u32::MAX);
        self.come.send_replace(false);
        f64::from(completed) / took
    }

    /// Reports how long each page took, and all of them together.
    fn add_visits(&mut self, jobs: &str) {
        let visits = self.visits.lock();
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
