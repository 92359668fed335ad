//! A scheduler that is asked to end while a durable job runs.

use std::time::Duration;

use futures::future::join;

use crate::follow::{cancel, live};
use crate::incident::Incident;
use crate::job::SeenJob;
use crate::kill::StopSignal;
use crate::plan::{JobPlan, Victim, Work};
use crate::scene::{attended, on_site, until};

#[test]
fn a_scheduler_that_is_terminated_waits_for_no_durable_job_and_loses_none() {
    let done = on_site(async |site| {
        // It runs for longer than all that follows. The scheduler would wait for an hour.
        let job = SeenJob::new(JobPlan::new("lasting", Work::Lasting));
        let restarts = async {
            for signal in [StopSignal::Terminate, StopSignal::Interrupt] {
                let length = job.logs_length();
                until(|| job.logs_length() > length).await;
                site.stop(Victim::Scheduler, signal, Duration::ZERO);
                until(|| site.has_happened(Incident::Scheduler(signal))).await;
                if job.whole_runs(site.folder()) > 0 {
                    return Err(format!("the scheduler has waited after {signal:?}"));
                }
            }
            let length = job.logs_length();
            until(|| job.logs_length() > length).await;
            cancel(&site.user, &job).await
        };
        let work = async {
            let (lived, cancelled) = join(live(&site.user, &job, 0), restarts).await;
            lived.and(cancelled)
        };
        attended(site, work).await?;
        job.check(site.folder(), 0, 0)?;
        match job.runs(site.folder()) {
            1 => Ok(()),
            runs => Err(format!("it was run {runs} times")),
        }
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}
