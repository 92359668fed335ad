//! A cluster, and its rounds one after the other.

use std::rc::Rc;
use std::time::Duration;

use crate::incident::Incidents;
use crate::job::SeenJob;
use crate::plan::{Plan, Victim};
use crate::round;
use crate::site::Site;

/// How many jobs of earlier rounds are compared again at the end.
const REMEMBERED: usize = 40;

/// Makes these rounds, and returns what has happened to programs.
pub(crate) async fn rounds(
    site: &Site,
    plans: impl IntoIterator<Item = Plan>,
) -> Result<Incidents, String> {
    let mut all: Vec<Rc<SeenJob>> = Vec::new();
    for plan in plans {
        if plan.ages_jobs && all.is_empty() {
            all = round::run(site, &Plan::of_jobs_to_age(plan.number), &[]).await?;
        }
        let jobs = round::run(site, &plan, &all).await?;
        if plan.ages_jobs {
            all.clear();
        }
        all.extend(jobs);
        let excess = all.len().saturating_sub(REMEMBERED);
        all.drain(..excess);
    }
    site.kill(Victim::Scheduler, Duration::ZERO);
    round::compare_again(site, &all).await?;
    Ok(site.take_incidents())
}
