//! Attempts that were given up, as their worker stayed away for too long.

use std::time::Duration;

use testkit::{Site, until};

use super::rig::{Client, Script, TestWorker};
use super::{forgets, success};
use crate::agent::Ending;
use crate::testing::local;

#[test]
fn a_job_of_a_worker_that_stays_away_is_run_by_another() {
    local(async {
        let grace = Duration::from_millis(100);
        let site = Site::start_with(|config| config.jobs.worker_grace = grace).await;
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (script, other) = (Script::new(), Script::new());
        let worker = TestWorker::start(&site, "w1", first.path(), &script);
        let client = Client::new(&site).await;
        let job = client.submit().await;
        script.prints("one").await;
        job.log_has("one").await;
        let replacement = TestWorker::start(&site, "w2", second.path(), &other);
        site.shows("w2").await;
        let log = "Building on w1\nrun 1\none\n";
        let more = job.log_from(1, log.len());
        worker.cable.cut();
        until("the other one runs it", async || other.runs() == 1).await;
        // Who waits for more of the first log does not wait for the second one to become as long.
        assert_eq!(more.await, "");
        other.prints("another").await;
        until("it is cancelled without its scheduler", async || {
            script.cancelled() == 1
        })
        .await;
        // Its end decides nothing.
        worker.cable.plug();
        forgets(first.path()).await;
        other.ends_with("done");
        assert_eq!(job.ended().await, (2, success("done")));
        assert_eq!(job.log(1).await, log);
        assert!(job.log(2).await.contains("another\n"));
        worker.end(Ending::AtOnce).await;
        replacement.end(Ending::AtOnce).await;
    });
}
