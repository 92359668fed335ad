//! One round: jobs are submitted and followed to their ends while something happens to the leader or the database.

use std::cell::Cell;
use std::time::Duration;

use futures::future::try_join_all;

use super::farm::Farm;
use super::gaps::Gaps;
use super::ledger;
use super::load::Load;
use super::report::Report;
use super::trouble::Trouble;
use crate::follow::{Start, follow};
use crate::random::Random;
use crate::scene::{attended_by, until};

/// How long anything may take: the longest trouble is a minute, and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(400);

/// How many lines of each log are shown before the trouble begins.
const LINES: usize = 40;

/// How long jobs are submitted after the trouble: another scheduler leads by then.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// What a round does.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) number: u64,
    pub(super) trouble: Trouble,
    pub(super) length: Duration,
    /// How long it begins after the logs have.
    delay: Duration,
}

impl Plan {
    pub(super) fn of(number: u64) -> Self {
        let mut random = Random::new(number);
        let trouble = Self::trouble(number);
        Self {
            number,
            trouble,
            length: trouble.draw_length(&mut random),
            delay: random.millis(2000),
        }
    }

    /// Returns a round for a test with little time.
    pub(super) fn short(number: u64) -> Self {
        let trouble = Self::trouble(number);
        Self {
            number,
            trouble,
            length: trouble.short_length(),
            delay: Random::new(number).millis(500),
        }
    }

    fn trouble(number: u64) -> Trouble {
        let count = Trouble::ALL.len() as u64;
        let index = usize::try_from(number % count).expect("small");
        Trouble::ALL[index]
    }
}

/// Makes these rounds, one after the other.
pub(super) async fn all(
    farm: &Farm<'_>,
    plans: Vec<Plan>,
    report: &mut Report,
) -> Result<(), String> {
    farm.start().await?;
    ledger::open(farm.machines).await?;
    for plan in plans {
        let gaps = Gaps::default();
        let load = Load::of(&plan);
        let done = attended_by(|| farm.attend(), LIMIT, run(farm, &plan, &load, &gaps)).await;
        if let Err(error) = done {
            let roles = farm.roles().await;
            let jobs = load.describe();
            return Err(format!("{plan:?}: {error}\n{roles:?}\n{jobs}"));
        }
        report.note(&plan, gaps.longest());
    }
    Ok(())
}

async fn run(farm: &Farm<'_>, plan: &Plan, load: &Load, gaps: &Gaps) -> Result<(), String> {
    farm.whole().await;
    let is_over = Cell::new(false);
    let trouble = async {
        until(|| load.has_shown(LINES)).await;
        tokio::time::sleep(plan.delay).await;
        plan.trouble.make(farm, plan.length, gaps).await?;
        tokio::time::sleep(AFTERWARDS).await;
        is_over.set(true);
        Ok(())
    };
    let ((), ()) = futures::future::try_join(trouble, load.run(farm, &is_over, gaps)).await?;
    gaps.end();
    let jobs = load.jobs();
    try_join_all(
        jobs.iter()
            .map(|job| follow(&farm.user, job, Start::Beginning)),
    )
    .await?;
    for job in &jobs {
        job.check(farm.folder(), 0, 0)?;
    }
    ledger::check(farm.machines, plan.number, jobs.len()).await
}
