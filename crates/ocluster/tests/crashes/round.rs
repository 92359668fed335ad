//! One round: jobs are submitted and followed to their ends while programs are killed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::future::{join, try_join_all};

use crate::follow::{Start, follow, live};
use crate::job::SeenJob;
use crate::kept::{everything_has_ended, is_removed};
use crate::plan::{Plan, Point, Victim};
use crate::scene::attended;
use crate::site::Site;

/// Makes a round, and returns its jobs and the points at which programs killed themselves.
pub(crate) async fn run(
    site: &Site,
    plan: &Plan,
    earlier: &[Rc<SeenJob>],
) -> Result<(Vec<Rc<SeenJob>>, Vec<Point>), String> {
    let jobs = plan.jobs.iter().cloned();
    let jobs: Vec<_> = jobs.map(|job| Rc::new(SeenJob::new(job))).collect();
    site.kills_all.set(plan.kills_all);
    if plan.ages_jobs {
        site.kill(Victim::Scheduler, Duration::ZERO);
        let names: Vec<_> = earlier.iter().map(|job| job.plan.name.clone()).collect();
        site.age(&names);
    }
    if let Some((victim, point, passes)) = plan.point {
        site.start_to_crash(victim, point, passes);
    }
    let work = async {
        try_join_all(jobs.iter().map(|job| live(site, job, plan.number))).await?;
        if plan.ages_jobs {
            try_join_all(earlier.iter().map(|job| is_removed(site, job))).await?;
        }
        everything_has_ended(site, plan).await
    };
    let work = async { join(work, kill(site, plan)).await.0 };
    let done = attended(site, work).await;
    let checked = done.and_then(|((), reached)| check(site, &jobs).map(|()| reached));
    match checked {
        Ok(reached) => Ok((jobs, reached)),
        Err(error) => Err(report(plan, &jobs, &error)),
    }
}

/// Asks for all jobs again, and compares.
pub(crate) async fn compare_again(site: &Site, jobs: &[Rc<SeenJob>]) -> Result<(), String> {
    let again = try_join_all(jobs.iter().map(|job| follow(site, job, Start::Beginning)));
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

/// Makes the kills of a round, each at its time.
async fn kill(site: &Site, plan: &Plan) {
    let start = Instant::now();
    let mut kills = plan.kills.clone();
    kills.sort_by_key(|kill| kill.after);
    for kill in kills {
        let left = kill.after.saturating_sub(start.elapsed());
        tokio::time::sleep(left).await;
        site.kill(kill.victim, kill.pause);
    }
}
