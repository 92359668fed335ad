//! A laptop whose lid is closed for an hour, while its clients have jobs.

use std::fs;
use std::time::Duration;

use cluster_api::{JobQuery, JobState};
use rig::Wire;

use crate::clock::Clock;
use crate::follow::{Start, follow};
use crate::job::SeenJob;
use crate::laptop::{Laptop, Window};
use crate::network::{Network, on_wire};
use crate::plan::{JobPlan, Work};
use crate::scene::{attended, until};
use crate::script::{self, KIND};
use crate::site::{INTERVAL, POOL, Site};

const CAP: &str = "caps/submission.cap";

/// The first line that `submit-custom` prints; what follows is the log.
const HEAD: &str = "Tailing log:\n";

/// How a job ended, as `submit-custom` and `status` have it.
const DEPARTURE: &str = "cancelled, as its client was gone for too long";

/// How the hour goes by: so that no single step decides what was first.
const STEPS: [Duration; 4] = [Duration::from_secs(15 * 60); 4];

/// Three clients on a laptop that sleeps for an hour: one that says nothing, one that wants its job to go on for two
/// hours without it, and one that follows a job which needs no client.
///
/// The machine is a network namespace. It sleeps: its programs are stopped, and its network drops all packets. The
/// clock by which programs measure time stands still while a machine sleeps, so those of the clients are left alone.
/// For the scheduler, which does not sleep, an hour goes by: its clock (CLOCK_MONOTONIC) is set forward, in four steps
/// between which it answers calls. All its limits are the default ones, such as the ten minutes for a client that fell
/// silent. That the client fell silent is found by the kernel, whose timers cannot be set forward: on the scheduler's
/// connections it waits for 2 s instead of 150 s. The jobs stand still for that hour, as it takes no time for them.
#[test]
fn jobs_go_on_or_are_cancelled_as_was_asked_while_their_clients_sleep() {
    let test = "jobs_go_on_or_are_cancelled_as_was_asked_while_their_clients_sleep";
    let clock = Clock::new();
    let scheduler = clock.command();
    let network = |_: &Wire| Network {
        scheduler,
        ..Network::near()
    };
    on_wire(test, network, async move |site, wire| {
        an_hour_of_sleep(site, wire, &clock).await
    });
}

/// The jobs, and the programs of their clients.
struct Clients<'a> {
    laptop: Laptop<'a>,
    /// It is not said what happens to it.
    plain: (SeenJob, Window),
    /// It goes on for two hours without its client.
    patient: (SeenJob, Window),
    /// It goes on without a client, and its log is followed.
    detached: (SeenJob, Window),
}

async fn an_hour_of_sleep(site: &Site, wire: &Wire, clock: &Clock) -> Result<(), String> {
    let day = async {
        until(|| site.is_served()).await;
        let laptop = Laptop::new(site.folder(), wire);
        let clients = Clients::start(site, laptop).await?;
        until(|| {
            clients
                .all()
                .iter()
                .all(|client| client.output().contains(": 9\n"))
        })
        .await;
        clients.laptop.close(&clients.all());
        until(|| connections_from_afar() == 0).await;
        site.hold(true);
        an_hour_goes_by(site, clock, &clients.plain.0.id()).await?;
        clients.laptop.open(&clients.all());
        until(|| connections_from_afar() > 0).await;
        site.hold(false);
        clients.check(site).await
    };
    attended(site, day).await.map(drop)
}

impl<'a> Clients<'a> {
    async fn start(site: &Site, laptop: Laptop<'a>) -> Result<Self, String> {
        let plain = submit(site, &laptop, "plain", Work::Lengthy, &[]);
        let two_hours = ["--return-timeout=7200"];
        let patient = submit(site, &laptop, "patient", Work::Lengthy, &two_hours);
        let (detached, submission) = submit(site, &laptop, "detached", Work::Long, &["--detach"]);
        submission.ends_with(0).await?;
        let id = submission.output().trim().to_owned();
        detached.is_accepted_as(id.clone())?;
        let follower = laptop.start("follower", &["logs", "-f", CAP, &id]);
        for (job, program) in [&plain, &patient] {
            let id = || {
                let errors = program.errors();
                let (_, rest) = errors.split_once("Submitted job ")?;
                Some(rest.split_once(' ')?.0.to_owned())
            };
            until(|| id().is_some()).await;
            job.is_accepted_as(id().unwrap_or_default())?;
        }
        Ok(Self {
            laptop,
            plain,
            patient,
            detached: (detached, follower),
        })
    }

    fn all(&self) -> [&Window; 3] {
        [&self.plain, &self.patient, &self.detached].map(|(_, program)| program)
    }

    /// Checks how all ended, and what the programs printed.
    async fn check(&self, site: &Site) -> Result<(), String> {
        let (plain, program) = &self.plain;
        program.ends_with(130).await?;
        let output = program.output();
        let log = output.strip_prefix(HEAD).unwrap_or_default();
        let log = log.strip_suffix(&format!("Failed: the job was {DEPARTURE}.\n"));
        printed_all(site, plain, log.unwrap_or_default()).await?;
        plain.check_beginning(1)?;

        let (patient, program) = &self.patient;
        program.ends_with(0).await?;
        let output = program.output();
        printed_all(site, patient, output.strip_prefix(HEAD).unwrap_or_default()).await?;
        let (detached, program) = &self.detached;
        program.ends_with(0).await?;
        printed_all(site, detached, &program.output()).await?;

        for (job, code, line) in [
            (plain, 130, DEPARTURE.to_owned()),
            (patient, 0, "succeeded".to_owned()),
            (detached, 0, "succeeded".to_owned()),
        ] {
            let id = job.id();
            let wait = self.laptop.start("wait", &["wait", CAP, &id]);
            wait.ends_with(code).await?;
            let status = self.laptop.start("status", &["status", CAP, &id]);
            status.ends_with(0).await?;
            let headline = format!("Job {id}: {line}\n");
            if !status.output().starts_with(&headline) {
                return Err(format!(
                    "expected {headline:?}, found {:?}",
                    status.output()
                ));
            }
        }
        patient.check(site.folder(), 0, 0)?;
        detached.check(site.folder(), 0, 0)?;
        // It would have ended before the other one that was as long.
        match plain.whole_runs(site.folder()) {
            0 => Ok(()),
            _ => Err("the job that was cancelled went on".to_owned()),
        }
    }
}

/// Submits a job from the laptop.
fn submit(
    site: &Site,
    laptop: &Laptop<'_>,
    name: &str,
    work: Work,
    options: &[&str],
) -> (SeenJob, Window) {
    let job = SeenJob::new(JobPlan::new(name, work));
    let payload = format!("{name}.payload");
    fs::write(
        site.folder().join(&payload),
        script::payload(site.folder(), &job.plan),
    )
    .expect("wrote the payload");
    let args = [
        "submit-custom",
        CAP,
        "--pool",
        POOL,
        "--kind",
        KIND,
        "--payload",
        &payload,
    ];
    let program = laptop.start(name, &[&args, options].concat());
    (job, program)
}

/// An hour goes by for the scheduler, and a job is cancelled in it.
async fn an_hour_goes_by(site: &Site, clock: &Clock, cancelled: &str) -> Result<(), String> {
    for step in STEPS {
        // What had happened before is known when the second call is answered.
        state(site, cancelled).await?;
        state(site, cancelled).await?;
        clock.advance(step);
    }
    while state(site, cancelled).await? != Some(JobState::Cancelled) {
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// Returns the state of a job, without watching it.
async fn state(site: &Site, id: &str) -> Result<Option<JobState>, String> {
    let query = JobQuery::default();
    let page = site
        .user
        .client
        .call(async |client| Ok(client.list_durable(&query).await?));
    let jobs = page.await?.jobs;
    let job = jobs.into_iter().find(|job| job.id == id);
    Ok(job.map(|job| job.state))
}

/// Checks that a program has printed the log of its job: all of it, and once.
async fn printed_all(site: &Site, job: &SeenJob, printed: &str) -> Result<(), String> {
    job.shows(1, 0, printed.as_bytes())?;
    follow(&site.user, job, Start::Beginning).await?;
    match (job.attempts(), job.log_length(1)) {
        (1, length) if length == printed.len() as u64 => Ok(()),
        (attempts, length) => Err(format!(
            "expected {} bytes in 1 attempt, found {length} in {attempts}\n{}",
            printed.len(),
            job.describe()
        )),
    }
}

/// Returns how many connections the kernel of the scheduler has with other machines.
fn connections_from_afar() -> usize {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("the connections");
    let connections = table.lines().skip(1).filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let mut address = || Some(fields.next()?.split_once(':')?.0);
        let (local, remote) = (address(), address());
        // Established.
        local != remote && fields.next() == Some("01")
    });
    connections.count()
}
