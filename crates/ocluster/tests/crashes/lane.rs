//! A cluster, and its rounds one after the other.

use std::rc::Rc;
use std::time::Duration;

use crate::job::SeenJob;
use crate::plan::{Plan, Point, Victim};
use crate::round;
use crate::site::Site;

/// How many jobs of earlier rounds are compared again at the end.
const REMEMBERED: usize = 40;

/// Makes these rounds, and returns the points at which programs killed themselves.
pub(crate) async fn rounds(
    site: &Site,
    plans: impl IntoIterator<Item = Plan>,
) -> Result<Vec<Point>, String> {
    let mut all: Vec<Rc<SeenJob>> = Vec::new();
    let mut reached = Vec::new();
    for plan in plans {
        if plan.ages_jobs && all.is_empty() {
            all = round::run(site, &Plan::of_jobs_to_age(plan.number), &[])
                .await?
                .0;
        }
        let (jobs, points) = round::run(site, &plan, &all).await?;
        if plan.ages_jobs {
            all.clear();
        }
        all.extend(jobs);
        let excess = all.len().saturating_sub(REMEMBERED);
        all.drain(..excess);
        reached.extend(points);
    }
    site.kill(Victim::Scheduler, Duration::ZERO);
    round::compare_again(site, &all).await?;
    Ok(reached)
}
