//! Jobs that outlive connections, and others, while a worker or the scheduler goes away.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    Job, JobRequest, LogChunk, Registration, ReturningWorker, RpcError, ServeJob, Worker,
};
use expect_test::expect;
use testkit::{Connected, MockBuilder, MockWorker, SilentWorker, Site, job_request, story, until};

use super::{check_durable, shown, submit};

#[test]
fn the_scheduler_is_shutting_down() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("alice").await;
        let builder = MockBuilder::new();
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = submit(&client, "running", "", false).await;
        builder.starts("running").await;
        let attached = submit(&client, "attached", "", false).await;
        let (_, durable) = client
            .submit_durable(&job_request("durable"))
            .await
            .unwrap();
        let checks = async {
            until("it drains", async || {
                let explanation = attached.explain().await.unwrap();
                explanation.kind == "scheduler-stopping"
            })
            .await;
            expect![[r#"
                scheduler-stopping:
                the scheduler is shutting down, and starts no more jobs; submit this one again when
                it is back
            "#]]
            .assert_eq(&shown(&attached.explain().await.unwrap()));
            expect![[r#"
                scheduler-stopping:
                the scheduler is shutting down, and starts no more jobs; this one continues when it
                is back
            "#]]
            .assert_eq(&shown(&durable.explain().await.unwrap()));
        };
        tokio::select! {
            () = site.scheduler().drain(Duration::from_secs(600)) => panic!("a job is running"),
            () = checks => {}
        }
        drop((running, attached, durable, w1));
    });
}

#[test]
fn a_job_has_lost_its_worker_and_has_a_limit() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("alice").await;
        let builder = MockBuilder::allowing_repeats();
        let request = JobRequest {
            queue_limit: Some(Duration::from_secs(3600)),
            ..job_request("image")
        };
        let (id, job) = client.submit_durable(&request).await.unwrap();
        check_durable(
            &job,
            expect![[r#"
            no-workers:
            no worker has ever registered in pool pool; ask an operator to start one, or use another
            pool; its queue limit ends it in TIME
        "#]],
        )
        .await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        builder.starts("w1 image").await;
        until("it runs", async || {
            job.explain().await.unwrap().kind == "running"
        })
        .await;
        w1.crash();
        site.shows("disconnected:\n  w1").await;
        until("it is queued again", async || {
            job.explain().await.unwrap().kind == "not-connected"
        })
        .await;
        check_durable(
            &job,
            expect![[r#"
            not-connected:
            the only worker of pool pool, w1, is not connected (last seen TIME ago); ask an operator
            to start it; this is attempt 2 of 3, as w1 was lost (its worker lost its connection,
            and did not return in time); its queue limit ends it in TIME
        "#]],
        )
        .await;

        // An operator reads the same.
        let (admin, _admin) = site.admin().await;
        let text = job.explain().await.unwrap();
        assert_eq!(shown(&admin.explain_job(&id).await.unwrap()), shown(&text));
        admin.cancel_job(&id).await.unwrap();
        assert_eq!(job.explain().await.unwrap().kind, "ended");
    });
}

/// A job that never ends.
struct EndlessJob;

impl ServeJob for EndlessJob {
    async fn log(self: Rc<Self>, _: i64) -> Result<LogChunk, RpcError> {
        std::future::pending().await
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        std::future::pending().await
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

#[test]
fn a_job_waits_for_its_worker_to_return() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("alice").await;
        let (_, job) = client.submit_durable(&job_request("image")).await.unwrap();
        let Connected { client, session } = site.connect(&site.cap("pool-pool.cap")).await;
        let returning = ReturningWorker {
            name: "w1".to_owned(),
            worker: Worker::serve(Rc::new(SilentWorker)),
            capacity: 1,
            instance: 1,
            held: Vec::new(),
        };
        let registration = Registration::from_client(client);
        let rejoined = registration.rejoin(returning).await.unwrap();
        let popped = rejoined.queue.pop_durable(Job::serve(Rc::new(EndlessJob)));
        popped.await.unwrap();
        until("it runs", async || {
            job.explain().await.unwrap().kind == "running"
        })
        .await;
        session.close("cable pulled");
        until("its worker is away", async || {
            job.explain().await.unwrap().kind == "away"
        })
        .await;
        check_durable(
            &job,
            expect![[r#"
            away:
            worker w1 lost its connection, and has TIME to return; then attempt 2 of 3 begins
        "#]],
        )
        .await;
    });
}
