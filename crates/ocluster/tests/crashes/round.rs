//! One round: jobs are submitted and followed to their ends while programs are stopped.

use std::rc::Rc;
use std::time::Duration;

use futures::future::{join, join_all, try_join_all};

use crate::follow::{Start, follow, live};
use crate::job::SeenJob;
use crate::kept::{everything_has_ended, is_removed};
use crate::kill::Moment;
use crate::plan::{Plan, Victim};
use crate::scene::{attended, until};
use crate::site::Site;

/// Makes a round, and returns its jobs.
pub(crate) async fn run(
    site: &Site,
    plan: &Plan,
    earlier: &[Rc<SeenJob>],
) -> Result<Vec<Rc<SeenJob>>, String> {
    let jobs = plan.jobs.iter().cloned();
    let jobs: Vec<_> = jobs.map(|job| Rc::new(SeenJob::new(job))).collect();
    site.kills_all.set(plan.kills_all);
    if plan.ages_jobs {
        site.kill(Victim::Scheduler, Duration::ZERO);
        let names: Vec<_> = earlier.iter().map(|job| job.plan.name.clone()).collect();
        site.age(&names);
    }
    if let Some((victim, point, passes)) = plan.point {
        if let Victim::Worker(_) = victim {
            // In the first round there is no cap file yet.
            let is_served = async {
                until(|| site.is_served()).await;
                Ok(())
            };
            attended(site, is_served).await?;
        }
        site.start_to_crash(victim, point, passes);
    }
    let work = async {
        try_join_all(jobs.iter().map(|job| live(&site.user, job, plan.number))).await?;
        if plan.ages_jobs {
            try_join_all(earlier.iter().map(|job| is_removed(site, job))).await?;
        }
        everything_has_ended(site, plan).await
    };
    let work = async {
        join(work, kill(site, plan, &jobs)).await.0?;
        until(|| !site.is_ending()).await;
        Ok(())
    };
    let done = attended(site, work).await;
    match done.and_then(|()| check(site, &jobs)) {
        Ok(()) => Ok(jobs),
        Err(error) => Err(report(plan, &jobs, &error)),
    }
}

/// Asks for all jobs again, and compares.
pub(crate) async fn compare_again(site: &Site, jobs: &[Rc<SeenJob>]) -> Result<(), String> {
    let again = try_join_all(
        jobs.iter()
            .map(|job| follow(&site.user, job, Start::Beginning)),
    );
    attended(site, again).await.map(drop)
}

fn check(site: &Site, jobs: &[Rc<SeenJob>]) -> Result<(), String> {
    let (kills, kills_of_workers) = site.take_kills();
    jobs.iter()
        .try_for_each(|job| job.check(site.folder(), kills, kills_of_workers))
}

fn report(plan: &Plan, jobs: &[Rc<SeenJob>], error: &str) -> String {
    let jobs: Vec<_> = jobs.iter().map(|job| job.describe()).collect();
    format!(
        "round {}: {error}\n\nall jobs of the round:\n{}\n\nplan: {plan:#?}",
        plan.number,
        jobs.join("\n"),
    )
}

/// Makes the kills of a round, each at its moment.
async fn kill(site: &Site, plan: &Plan, jobs: &[Rc<SeenJob>]) {
    let kills = plan.kills.iter().map(async |kill| {
        match kill.moment {
            Moment::After(time) => tokio::time::sleep(time).await,
            Moment::Shown(lines) => {
                until(|| jobs.iter().all(|job| job.lines() >= lines)).await;
            }
        }
        site.stop(kill.victim, kill.signal, kill.pause);
    });
    join_all(kills).await;
}
