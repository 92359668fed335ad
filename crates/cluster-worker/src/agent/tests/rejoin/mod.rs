//! Durable jobs on a real worker of a real scheduler, while one of them, or the network between them, is away.

mod given_up;
mod rig;
mod times;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{DurableOutcome, DurableStage, LostAttempt, Outcome};
use tempfile::TempDir;
use testkit::{Site, until};

use self::rig::{Client, Follower, Script, TestWorker, kept_in};
use crate::agent::Ending;
use crate::testing::local;

/// Starts a worker that keeps its state in a directory, and connects a client.
async fn one_worker(site: &Site) -> (TempDir, Rc<Script>, TestWorker, Client) {
    let state = tempfile::tempdir().unwrap();
    let script = Script::new();
    let worker = TestWorker::start(site, "w1", state.path(), &script);
    (state, script, worker, Client::new(site).await)
}

/// Waits until a worker keeps no attempt.
async fn forgets(state_dir: &Path) {
    until("the worker forgets", async || kept_in(state_dir).is_empty()).await;
}

fn success(output: &str) -> DurableOutcome {
    DurableOutcome::Done(Outcome::Succeeded(output.to_owned()))
}

#[test]
fn a_job_goes_on_while_the_network_is_cut() {
    local(async {
        let site = Site::start().await;
        let (state, script, worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        job.log_has("one").await;
        worker.cable.cut();
        job.reaches(|stage| matches!(stage, DurableStage::Away { attempt: 1, .. }))
            .await;
        script.prints("two").await;
        worker.cable.plug();
        job.reaches(|stage| matches!(stage, DurableStage::Running { attempt: 1, .. }))
            .await;
        job.log_has("two").await;
        // It is seen to run on that worker, and a drain waits for it.
        site.shows("(1 running)").await;
        script.prints("three").await;
        script.ends_with("done");
        assert_eq!(job.ended().await, (1, success("done")));
        site.shows("(0 running)").await;
        assert_eq!(
            job.log(1).await,
            "Building on w1\nrun 1\none\ntwo\nthree\nJob succeeded\n"
        );
        assert_eq!(script.runs(), 1);
        forgets(state.path()).await;
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn a_job_goes_on_while_the_scheduler_is_restarted_again_and_again() {
    local(async {
        let mut site = Site::start_at_socket().await;
        let (_state, script, worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        let follower = Follower::start(&site, &job.id);
        let mut expected = "Building on w1\nrun 1\n".to_owned();
        drop(client);
        for round in 1..=5 {
            let line = format!("before restart {round}");
            script.prints(&line).await;
            follower.has(&line).await;
            site.restart().await;
            let without = format!("after restart {round}");
            script.prints(&without).await;
            follower.has(&without).await;
            expected += &format!("{line}\n{without}\n");
        }
        script.ends_with("done");
        let job = Client::new(&site).await.find(&job.id).await;
        assert_eq!(job.ended().await, (1, success("done")));
        expected += "Job succeeded\n";
        assert_eq!(follower.end().await, expected);
        assert_eq!(job.log(1).await, expected);
        assert_eq!(script.runs(), 1);
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn a_job_that_was_cancelled_meanwhile_is_stopped_when_its_worker_returns() {
    local(async {
        let site = Site::start().await;
        let (state, script, worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        worker.cable.cut();
        job.reaches(|stage| matches!(stage, DurableStage::Away { .. }))
            .await;
        job.cancel().await;
        assert_eq!(job.ended().await, (1, DurableOutcome::CancelledByClient));
        assert_eq!(script.cancelled(), 0);
        worker.cable.plug();
        until("the worker stops it, and forgets", async || {
            script.cancelled() == 1 && kept_in(state.path()).is_empty()
        })
        .await;
        assert_eq!(job.ended().await, (1, DurableOutcome::CancelledByClient));
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn a_job_whose_worker_is_killed_is_run_again_at_once() {
    local(async {
        let site = Site::start().await;
        let (state, script, worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        job.log_has("one").await;
        worker.kill().await;
        // Otherwise it would wait for this worker for five minutes.
        let worker = TestWorker::start(&site, "w1", state.path(), &script);
        until("it runs again", async || script.runs() == 2).await;
        script.ends_with("done");
        assert_eq!(job.ended().await, (2, success("done")));
        assert_eq!(job.log(1).await, "Building on w1\nrun 1\none\n");
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn an_outcome_is_delivered_when_the_scheduler_is_back() {
    for is_killed in [false, true] {
        local(async {
            let site = Site::start().await;
            let (state, script, mut worker, client) = one_worker(&site).await;
            let job = client.submit().await;
            script.prints("one").await;
            worker.cable.cut();
            script.ends_with("done");
            let outcome = |path: &Path| path.join("outcome").exists();
            until("the outcome is on disk", async || {
                kept_in(state.path()).iter().any(|path| outcome(path))
            })
            .await;
            if is_killed {
                worker.kill().await;
                worker = TestWorker::start(&site, "w1", state.path(), &script);
            }
            worker.cable.plug();
            assert_eq!(job.ended().await, (1, success("done")));
            assert_eq!(
                job.log(1).await,
                "Building on w1\nrun 1\none\nJob succeeded\n"
            );
            assert_eq!(script.runs(), 1);
            forgets(state.path()).await;
            worker.end(Ending::AtOnce).await;
        });
    }
}

#[test]
fn a_worker_that_is_stopped_without_its_scheduler_reports_that_later() {
    local(async {
        let site = Site::start().await;
        let (state, script, worker, client) = one_worker(&site).await;
        let job = client.submit_with_attempts(1).await;
        script.prints("one").await;
        worker.cable.cut();
        worker.end(Ending::AtOnce).await;
        assert_eq!(script.cancelled(), 1);
        let worker = TestWorker::start(&site, "w1", state.path(), &script);
        let (_, outcome) = job.ended().await;
        let lost = LostAttempt {
            attempt: 1,
            worker: "w1".to_owned(),
            reason: "its worker is shutting down".to_owned(),
        };
        assert_eq!(outcome, DurableOutcome::Lost(vec![lost]));
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn a_worker_that_drains_without_its_scheduler_lets_the_job_end() {
    local(async {
        let site = Site::start().await;
        let (_state, script, mut worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        worker.cable.cut();
        worker.shut_down(Ending::Drain {
            within: Duration::from_secs(60),
        });
        script.prints("two").await;
        worker.cable.plug();
        job.log_has("two").await;
        script.ends_with("done");
        assert_eq!(job.ended().await, (1, success("done")));
        worker.ended().await;
    });
}

#[test]
fn a_scheduler_that_ends_does_not_wait_for_jobs_that_go_on() {
    local(async {
        let mut site = Site::start_at_socket().await;
        let (_state, script, worker, client) = one_worker(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        // The story would take longer than it may.
        site.scheduler().drain(Duration::from_secs(3600)).await;
        assert!(site.logs.contains("not waiting for 1 durable job"));
        site.restart().await;
        script.prints("two").await;
        script.ends_with("done");
        let job = Client::new(&site).await.find(&job.id).await;
        assert_eq!(job.ended().await, (1, success("done")));
        assert!(job.log(1).await.contains("one\ntwo\n"));
        worker.end(Ending::AtOnce).await;
    });
}

#[test]
fn a_job_that_cannot_be_kept_ends_with_an_error() {
    local(async {
        let site = Site::start().await;
        let (state, script, worker, client) = one_worker(&site).await;
        let attempts = state.path().join("attempts");
        until("the worker starts", async || attempts.exists()).await;
        std::fs::remove_dir(&attempts).unwrap();
        // Nothing can be made in it, whatever the rights of the test are.
        std::fs::write(&attempts, "").unwrap();
        let job = client.submit().await;
        let printing = async {
            loop {
                script.adds("more");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (attempt, outcome) = tokio::select! {
            ended = job.ended() => ended,
            () = printing => unreachable!("it never ends"),
        };
        assert_eq!(attempt, 1);
        let failed = matches!(outcome, DurableOutcome::Done(Outcome::Failed { .. }));
        assert!(failed, "{outcome:?}");
        assert!(
            job.log(1).await.contains("cannot write the job's log"),
            "{}",
            job.log(1).await
        );
        std::fs::remove_file(&attempts).unwrap();
        std::fs::create_dir(&attempts).unwrap();
        script.ends_with("done");
        let job = client.submit().await;
        assert_eq!(job.ended().await, (1, success("done")));
        worker.end(Ending::AtOnce).await;
    });
}
