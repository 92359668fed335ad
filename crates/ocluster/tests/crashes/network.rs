//! A network between the scheduler and its workers that fails: for some seconds, and for longer than the scheduler
//! waits for a worker.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::Duration;

use futures::future::{join, try_join_all};
use rig::{End, Holder, Name, Wire, report_not_run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::clock::Clock;
use crate::follow::live;
use crate::job::SeenJob;
use crate::plan::{JobPlan, Victim, Work};
use crate::scene::{attended, on_site_with, until};
use crate::site::Site;

/// How long it fails. Connections survive that.
const OUTAGE: Duration = Duration::from_secs(5);

/// The most bytes with which a worker begins a log, before the job prints anything.
const HEAD: u64 = 20;

/// For ever, as far as a test is concerned.
const FOR_GOOD: Duration = Duration::from_secs(3600);

/// How the programs reach each other, and what else they are started with.
pub(crate) struct Network {
    /// Where the scheduler listens.
    pub(crate) address: String,
    /// What runs the scheduler.
    pub(crate) scheduler: Vec<String>,
    /// More options of the scheduler.
    pub(crate) scheduler_options: Vec<String>,
    /// What runs each worker, elsewhere.
    pub(crate) workers: [Vec<String>; 2],
    /// More options of the workers, with `NAME` for the name of each and `FOLDER` for that of all.
    pub(crate) options: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            address: "unix:socket".to_owned(),
            scheduler: Vec::new(),
            scheduler_options: Vec::new(),
            workers: Default::default(),
            options: Vec::new(),
        }
    }
}

impl Network {
    /// Returns one with the scheduler at the near end of a wire.
    pub(crate) fn near() -> Self {
        Self {
            address: format!("tcp:{}:9000", Wire::ADDRESS),
            ..Self::default()
        }
    }
}

/// Returns the command that runs a program at the far end.
pub(crate) fn at_far_end(wire: &Wire) -> Vec<String> {
    [
        "nsenter".to_owned(),
        format!("--net={}", wire.namespace(End::Far).display()),
        "--".to_owned(),
    ]
    .to_vec()
}

/// Runs a test at the near end of a wire, if that is possible on this machine.
pub(crate) fn on_wire(
    test: &str,
    network: impl FnOnce(&Wire) -> Network + Send + 'static,
    work: impl AsyncFnOnce(&Site, &Wire) -> Result<(), String> + Send + 'static,
) {
    if !rig::is_root() {
        report_not_run(test, "root, for network namespaces");
        return;
    }
    let name = Name::new().expect("a name");
    let Ok(holder) = Holder::start(&name) else {
        return report_not_run(test, "the program rig");
    };
    let wire = Wire::new(&holder).expect("network namespaces");
    // The thread of the test, and what it starts, are where the scheduler is.
    let test = std::thread::spawn(move || {
        let near = File::open(wire.namespace(End::Near)).expect("a namespace");
        move_into_link_name_space(near.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may enter it");
        on_site_with(network(&wire), async |site| work(site, &wire).await)
    });
    let done = test.join().expect("the test reports what it finds");
    done.unwrap_or_else(|error| panic!("{error}"));
    holder.finish().expect("it cleans up");
}

#[test]
fn a_job_runs_once_although_the_network_fails_meanwhile() {
    let network = |wire: &Wire| Network {
        workers: [at_far_end(wire), at_far_end(wire)],
        ..Network::near()
    };
    let test = "a_job_runs_once_although_the_network_fails_meanwhile";
    on_wire(test, network, async |site, wire| outage(site, wire).await);
}

async fn outage(site: &Site, wire: &Wire) -> Result<(), String> {
    let work = [Work::Long, Work::Slow, Work::Long, Work::Slow];
    let jobs: Vec<_> = (0..).zip(work).collect();
    let jobs: Vec<_> = jobs
        .into_iter()
        .map(|(number, work)| SeenJob::new(JobPlan::new(&format!("job-{number}"), work)))
        .collect();
    let cut = async {
        until(|| jobs.iter().all(|job| job.logs_length() > 0)).await;
        wire.connect(false).expect("the network fails");
        tokio::time::sleep(OUTAGE).await;
        wire.connect(true).expect("the network works again");
    };
    let lives = try_join_all(jobs.iter().map(|job| live(&site.user, job, 0)));
    attended(site, async { join(lives, cut).await.0 }).await?;
    jobs.iter().try_for_each(|job| {
        job.check(site.folder(), 0, 0)?;
        match job.runs(site.folder()) {
            1 => Ok(()),
            runs => Err(format!("{} was run {runs} times", job.plan.name)),
        }
    })
}

/// What a worker that is cut off knows of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outage {
    /// Nothing before it ends.
    Unnoticed,
    /// That its connection is lost.
    Noticed,
}

#[test]
fn a_worker_that_returns_too_late_forgets_what_it_still_runs() {
    let test = "a_worker_that_returns_too_late_forgets_what_it_still_runs";
    too_long_an_outage(test, Outage::Unnoticed);
}

#[test]
fn a_worker_that_is_cut_off_for_too_long_stops_what_it_runs() {
    let test = "a_worker_that_is_cut_off_for_too_long_stops_what_it_runs";
    too_long_an_outage(test, Outage::Noticed);
}

/// The network between the scheduler and a worker fails for longer than the scheduler waits.
fn too_long_an_outage(test: &str, outage: Outage) {
    // For its short timers.
    let clock = Clock::new();
    let scheduler = clock.command();
    let far_clock = match outage {
        Outage::Unnoticed => Vec::new(),
        Outage::Noticed => clock.command(),
    };
    let network = |wire: &Wire| Network {
        scheduler,
        scheduler_options: vec!["--worker-grace=3".to_owned()],
        workers: [[at_far_end(wire), far_clock].concat(), Vec::new()],
        ..Network::near()
    };
    on_wire(test, network, async move |site, wire| {
        another_worker_does_it(site, wire, outage).await
    });
}

async fn another_worker_does_it(site: &Site, wire: &Wire, outage: Outage) -> Result<(), String> {
    let (cut_off, other) = (Victim::Worker(0), Victim::Worker(1));
    // The job must be the first worker's.
    site.kill(other, FOR_GOOD);
    let job = SeenJob::new(JobPlan::new("long", Work::Long));
    let is_stopped = || site.has_logged(cut_off, "Cancelling attempt 1 of");
    let cut = async {
        until(|| job.log_length(1) > HEAD).await;
        // Neither attempt ends before its time.
        site.hold(true);
        wire.connect(false).expect("the network fails");
        if outage == Outage::Noticed {
            until(is_stopped).await;
        }
        site.kill(other, Duration::ZERO);
        until(|| job.log_length(2) > HEAD).await;
        wire.connect(true).expect("the network works again");
        until(|| site.has_logged(cut_off, "Returning with 1 durable job")).await;
        let given_up = format!("Worker \"w1\" still had attempt 1 of {}", job.id());
        until(|| site.has_logged(Victim::Scheduler, &given_up)).await;
        until(is_stopped).await;
        until(|| site.kept_by(0).is_empty()).await;
        site.hold(false);
    };
    attended(site, async { join(live(&site.user, &job, 0), cut).await.0 }).await?;
    job.check(site.folder(), 0, 1)?;
    job.check_beginning(1)?;
    let runs = (job.runs(site.folder()), job.whole_runs(site.folder()));
    match (job.attempts(), runs) {
        (2, (2, 1)) => Ok(()),
        found => Err(format!(
            "expected 2 attempts, 2 runs, 1 whole run, found {found:?}"
        )),
    }
}
