//! When the parts of durable jobs ran, and when their logs were written, whatever is restarted meanwhile.

use std::time::Duration;

use cluster_api::{Phase, PhaseKind};
use testkit::{Site, until};

use super::rig::{Client, ClientJob, TestWorker, kept_in};
use super::{forgets, one_worker, success};
use crate::agent::Ending;
use crate::testing::local;

/// Long enough for two lines to have times of their own.
const PAUSE: Duration = Duration::from_millis(150);

/// Returns the only phase of an attempt, once there is one.
async fn phase(job: &ClientJob) -> Phase {
    until("its phase is known", async || {
        job.phases(1).await.len() == 1
    })
    .await;
    job.phases(1).await.remove(0)
}

/// Returns how long after a line of the log of the first attempt another one was written.
async fn time_between(job: &ClientJob, line: &str, other: &str) -> Duration {
    let log = job.log(1).await;
    let mut at = Vec::new();
    for line in [line, other] {
        let offset = log.find(line).unwrap() as u64;
        let times = job.log_times(1, offset..offset + 1).await;
        let [time] = &*times else {
            panic!("{line:?} has the times {times:?} in {log:?}");
        };
        assert!(time.offset <= offset);
        at.push(time.at);
    }
    at[1] - at[0]
}

#[test]
fn times_are_known_while_a_job_runs_and_after_restarts_of_the_scheduler() {
    local(async {
        let mut site = Site::start_at_socket().await;
        let (state, script, worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        tokio::time::sleep(PAUSE).await;
        script.prints("two").await;
        job.log_has("two").await;
        let running = phase(&job).await;
        assert_eq!((running.kind, &*running.name), (PhaseKind::Run, "script"));
        assert_eq!(running.log_offset, "Building on w1\n".len() as u64);
        assert_eq!((running.ended, running.cached), (None, false));
        // What was written just now is waited for.
        script.prints("three").await;
        job.log_has("three").await;
        let length = "Building on w1\nrun 1\none\ntwo\nthree\n".len() as u64;
        let times = job.log_times(1, 0..length).await;
        assert!(times.len() >= 2 && times[0].offset == 0, "{times:?}");
        drop(client);
        site.restart().await;
        let job = Client::new(&site).await.find(&job.id).await;
        assert_eq!(phase(&job).await, running);
        tokio::time::sleep(PAUSE).await;
        script.prints("four").await;
        script.ends_with("done");
        assert_eq!(job.ended().await, (1, success("done")));
        forgets(state.path()).await;
        until("the end of the phase is stored", async || {
            job.phases(1).await[0].ended.is_some()
        })
        .await;
        let ended = phase(&job).await;
        site.restart().await;
        let job = Client::new(&site).await.find(&job.id).await;
        assert_eq!(phase(&job).await, ended);
        assert!(ended.ended > Some(ended.started + 2 * PAUSE));
        assert!(time_between(&job, "one\n", "two\n").await >= PAUSE);
        assert!(time_between(&job, "two\n", "four\n").await >= PAUSE);
        assert_eq!(job.log_times(1, 1_000..2_000).await, []);
        assert_eq!(job.phases(2).await, []);
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn a_worker_that_was_killed_keeps_the_times_of_what_it_ran() {
    // Whether the job has ended before.
    for has_ended in [true, false] {
        local(async {
            let site = Site::start().await;
            let (state, script, worker, client) = one_worker(&site).await;
            let job = client.submit_with_attempts(1).await;
            script.prints("one").await;
            job.log_has("one").await;
            worker.cable.cut();
            tokio::time::sleep(PAUSE).await;
            script.prints("two").await;
            let file = if has_ended {
                script.ends_with("done");
                "outcome"
            } else {
                "times"
            };
            until("it is on disk", async || {
                kept_in(state.path())
                    .iter()
                    .any(|path| path.join(file).exists())
            })
            .await;
            worker.kill().await;
            let worker = TestWorker::start(&site, "w1", state.path(), &script);
            job.ended().await;
            assert!(time_between(&job, "one\n", "two\n").await >= PAUSE);
            let phase = phase(&job).await;
            assert_eq!(phase.kind, PhaseKind::Run);
            assert_eq!(phase.ended.is_some(), has_ended);
            worker.end(Ending::AtOnce).await;
        });
    }
}
