//! Builds of Docker, whose containers must end with the attempts of a killed worker.

use std::cell::RefCell;
use std::time::Duration;

use futures::future::join;
use rig::{Rig, traces};

use crate::follow::{cancel, live};
use crate::job::SeenJob;
use crate::kill::{Kill, Moment, StopSignal};
use crate::network::Network;
use crate::plan::{JobPlan, Plan, Victim, Work};
use crate::round;
use crate::scene::{attended, on_site_with, until};
use crate::site::{INTERVAL, Site};

/// How many builds there are at once: both workers have no room for more.
const BUILDS: u64 = 4;

/// Who is stopped while all builds of a round run, and whether a scheduler takes its workers along.
const ROUNDS: [(Victim, StopSignal, bool); 6] = [
    (Victim::Worker(0), StopSignal::Kill, false),
    (Victim::Scheduler, StopSignal::Kill, false),
    (Victim::Scheduler, StopSignal::Kill, true),
    (Victim::Worker(1), StopSignal::Interrupt, false),
    (Victim::Worker(0), StopSignal::Terminate, false),
    (Victim::Scheduler, StopSignal::Terminate, false),
];

#[test]
fn builds_of_docker_are_done_whatever_is_killed() {
    let test = "builds_of_docker_are_done_whatever_is_killed";
    let Some(rig) = Rig::or_not_run(test) else {
        return;
    };
    let done = on_site_with(with_engine(&rig), async |site| {
        for (number, (victim, signal, kills_all)) in (0..).zip(ROUNDS) {
            let plan = plan(site, number, victim, signal, kills_all);
            round::run(site, &plan, &[]).await?;
            for job in &plan.jobs {
                nothing_is_left(site, &job.name).await?;
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_container_of_a_killed_worker_ends() {
    let Some(rig) = Rig::or_not_run("the_container_of_a_killed_worker_ends") else {
        return;
    };
    let done = on_site_with(with_engine(&rig), async |site| {
        // Its containers would run for an hour.
        let job = SeenJob::new(JobPlan::new(&unique(site, "endless"), Work::Endless));
        site.kill(Victim::Worker(1), Duration::from_secs(3600));
        let trouble = async {
            until(|| job.lines() > 0).await;
            let first = containers(&rig, &job.plan.name)?;
            if first.is_empty() {
                return Err("it has no container".to_owned());
            }
            site.kill(Victim::Worker(0), Duration::ZERO);
            until(|| job.log_length(2) > 0).await;
            while containers(&rig, &job.plan.name)?
                .iter()
                .any(|container| first.contains(container))
            {
                job.doing.set("waiting for the end of its first container");
                tokio::time::sleep(INTERVAL).await;
            }
            cancel(&site.user, &job).await
        };
        let work = async {
            let (lived, cancelled) = join(live(&site.user, &job, 0), trouble).await;
            lived.and(cancelled)
        };
        attended(site, work)
            .await
            .map_err(|error| format!("{error}\n{}", job.describe()))?;
        let (kills, of_workers) = site.take_kills();
        job.check(site.folder(), kills, of_workers)?;
        nothing_is_left(site, &job.plan.name).await
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

/// Returns a network whose workers use the engine.
fn with_engine(rig: &Rig) -> Network {
    let environment = rig.docker.env();
    let environment = environment
        .iter()
        .map(|(name, value)| format!("{name}={}", value.to_string_lossy()));
    let worker: Vec<_> = ["env".to_owned()].into_iter().chain(environment).collect();
    Network {
        workers: [worker.clone(), worker],
        options: vec!["--docker-pull=missing".to_owned()],
        ..Network::default()
    }
}

/// Returns a name that no job of another site has: no build finds the step of another in the engine's cache.
fn unique(site: &Site, name: &str) -> String {
    let own = site.folder().file_name().unwrap_or_default();
    format!("{name}-{}", own.to_string_lossy())
}

fn plan(site: &Site, number: u64, victim: Victim, signal: StopSignal, kills_all: bool) -> Plan {
    let job = |index| {
        let name = unique(site, &format!("docker-{number}-{index}"));
        JobPlan::new(&name, Work::Docker)
    };
    Plan {
        number,
        jobs: (0..BUILDS).map(job).collect(),
        point: None,
        kills: vec![Kill {
            moment: Moment::Shown(1),
            victim,
            signal,
            pause: Duration::ZERO,
        }],
        kills_all,
        ages_jobs: false,
    }
}

/// Returns the running containers of a job.
fn containers(rig: &Rig, name: &str) -> Result<Vec<String>, String> {
    let listed = rig
        .docker
        .run(&["ps", "--no-trunc", "--format={{.ID}} {{.Command}}"]);
    let listed = listed.map_err(|error| format!("{error:#}"))?;
    let of_job = listed.lines().filter(|line| line.contains(name));
    Ok(of_job.map(str::to_owned).collect())
}

/// Waits until nothing runs any more of a job, in a container or not.
async fn nothing_is_left(site: &Site, name: &str) -> Result<(), String> {
    let left = RefCell::new(Vec::new());
    let ended = async {
        loop {
            left.replace(traces(name).map_err(|error| format!("{error:#}"))?);
            if left.borrow().is_empty() {
                return Ok(());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let ended = attended(site, ended).await;
    ended.map_err(|error| format!("{error}; left of {name}: {:#?}", left.take()))
}
