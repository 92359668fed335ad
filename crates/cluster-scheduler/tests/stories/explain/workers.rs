//! Why workers run no more jobs.

use cluster_api::PoolAdmin;
use expect_test::{Expect, expect};
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, pass_seconds, story};

use super::{REFRESHED, note, shown, submit};

/// Checks why a worker runs no more jobs.
async fn check(pool: &PoolAdmin, worker: &str, expected: Expect) {
    pass_seconds(REFRESHED).await;
    expected.assert_eq(&shown(&pool.explain_worker(worker).await.unwrap()));
}

#[test]
fn a_worker_is_idle_full_or_paused() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let unknown = pool.explain_worker("w1").await.unwrap_err();
        assert_eq!(unknown.reason, "Unknown worker");
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        check(
            &pool,
            "w1",
            expect![[r#"
                no-jobs:
                runs 0 of 1 job; no other jobs wait
            "#]],
        )
        .await;
        let mut tickets = Vec::new();
        for name in ["running", "second", "third"] {
            tickets.push(submit(&client, name, "", false).await);
        }
        builder.starts("running").await;
        check(
            &pool,
            "w1",
            expect![[r#"
            full:
            runs 1 of 1 job; 2 jobs wait
        "#]],
        )
        .await;
        pool.pause("w1", &note(false)).await.unwrap();
        check(
            &pool,
            "w1",
            expect![[r#"
            admin-pause:
            paused by ann@desk TIME ago: "new kernel"; to end the pause, use ocluster-admin unpause
        "#]],
        )
        .await;
        w1.crash();
        site.shows("disconnected:\n  w1").await;
        check(
            &pool,
            "w1",
            expect![[r#"
            not-connected:
            not connected (last seen TIME ago); start it; it is paused by ann@desk TIME ago: "new
            kernel"
        "#]],
        )
        .await;
        drop(tickets);
    });
}

#[test]
fn what_waits_is_for_other_workers() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let mut tickets = vec![submit(&client, "first", "app", false).await];
        builder.starts("first").await;
        let w2 = MockWorker::start(&site, "w2", 4, &builder).await;
        site.shows("queue: (ready) [w2").await;
        tickets.push(submit(&client, "second", "app", false).await);
        check(
            &pool,
            "w2",
            expect![[r#"
            cache-wait:
            runs 0 of 4 jobs; 1 job waits for other workers, which have their cache hints, and
            this one takes the first of them in TIME
        "#]],
        )
        .await;
        check(
            &pool,
            "w1",
            expect![[r#"
            full:
            runs 1 of 1 job; 1 job waits
        "#]],
        )
        .await;

        // All at once, as operators see it.
        let all = pool.explain(10).await.unwrap();
        let jobs: Vec<_> = all.jobs.iter().map(|(_, it)| it.kind.as_str()).collect();
        let workers = all.workers.iter();
        let workers: Vec<_> = workers.map(|(name, it)| (&**name, &*it.kind)).collect();
        assert_eq!(jobs, ["cache-wait"]);
        assert_eq!(workers, [("w1", "full"), ("w2", "cache-wait")]);
        let (number, explanation) = &all.jobs[0];
        assert_eq!(
            shown(&pool.explain_job(*number).await.unwrap()),
            shown(explanation)
        );
        assert_eq!(pool.explain(0).await.unwrap().jobs, []);
        let error = pool.explain_job(99).await.unwrap_err();
        assert_eq!(error.reason, "no job 99 is queued or running in this pool");
        for name in ["first", "second"] {
            builder.end(name, BuildOutcome::Succeeded(""));
        }
        drop((tickets, w1, w2));
    });
}
