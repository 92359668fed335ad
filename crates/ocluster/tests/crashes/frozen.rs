//! What lasts: a build during which the scheduler is restarted again and again, and a worker that is frozen.

use std::num::NonZeroU8;
use std::time::Duration;

use futures::future::join;
use rustix::process::Signal;

use crate::follow::{Start, follow, live};
use crate::job::SeenJob;
use crate::plan::{JobPlan, Victim, Work};
use crate::scene::{attended, on_site, until};
use crate::site::{CAPS, worker};

/// For ever, as far as a test is concerned.
const FOR_GOOD: Duration = Duration::from_secs(3600);

#[test]
fn a_log_has_no_gap_although_the_scheduler_is_killed_five_times() {
    let done = on_site(async |site| {
        let job = SeenJob::new(JobPlan {
            attempts: NonZeroU8::new(20).expect("it is not zero"),
            ..JobPlan::new("lasting", Work::Lasting)
        });
        let kills = async {
            for _ in 0..5 {
                let length = job.logs_length();
                until(|| job.logs_length() > length).await;
                site.kill(Victim::Scheduler, Duration::ZERO);
            }
        };
        let work = async { join(live(&site.user, &job, 0), kills).await.0 };
        attended(site, work).await?;
        let (kills, of_workers) = site.take_kills();
        job.check(site.folder(), kills, of_workers)
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_frozen_worker_that_was_given_up_changes_nothing_when_it_goes_on() {
    let done = on_site(async |site| {
        // The job must be the first worker's.
        site.kill(Victim::Worker(1), FOR_GOOD);
        let job = SeenJob::new(JobPlan::new("long", Work::Long));
        let mut replacement = worker(site.folder(), CAPS, "w1", "w1-again", &[]);
        let freeze = async {
            until(|| job.logs_length() > 0).await;
            site.signal(Victim::Worker(0), Signal::STOP);
            // It takes over the name of one that does not answer.
            replacement.start(None);
        };
        let work = async {
            join(live(&site.user, &job, 0), freeze).await.0?;
            site.signal(Victim::Worker(0), Signal::CONT);
            let refusal = "Worker already registered!";
            until(|| site.has_logged(Victim::Worker(0), refusal)).await;
            follow(&site.user, &job, Start::Beginning).await
        };
        attended(site, work).await?;
        site.take_kills();
        job.check(site.folder(), 0, 1)
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}
