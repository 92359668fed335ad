//! Durable jobs in the queue: their order, and what becomes of those that cannot be run.

use cluster_api::{DurableOutcome, JobRequest, Submission};
use rusqlite::Connection;
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, docker_with_hint, story, until};

use crate::durable::{connect, ended, log, request, submit, success};
use crate::metrics::shows;

/// What comes between the submissions and the jobs.
#[derive(Clone, Copy, Debug)]
enum Interruption {
    WorkerIsLost,
    SchedulerRestarts,
    Both,
}

async fn queue(client: &Submission, names: &[&str]) {
    for name in names {
        let urgent = name.contains("urgent");
        // Without a hint, each costs its client the same.
        let description = docker_with_hint(name, "").encode().unwrap();
        let request = JobRequest {
            description,
            urgent,
            ..request(name)
        };
        submit(client, &request).await;
    }
}

/// Two clients queue jobs. Returns the order in which a worker gets them after an interruption.
async fn order_after(interruption: Interruption) -> Vec<String> {
    let mut site = Site::start_at_socket().await;
    let (alice, alice_connected) = site.client("alice").await;
    let (bob, bob_connected) = site.client("bob").await;
    let builder = MockBuilder::allowing_repeats();
    let worker = MockWorker::start(&site, "w1", 1, &builder).await;
    for name in ["done1", "done2"] {
        builder.end(name, BuildOutcome::Succeeded(""));
    }
    // Two of her jobs are done, and one runs: she has had her share for now.
    queue(&alice, &["done1", "done2", "a0"]).await;
    builder.starts("w1 a0").await;
    queue(&alice, &["a1", "a2"]).await;
    queue(&bob, &["b1", "b2", "b3", "b4"]).await;
    queue(&alice, &["a3 urgent"]).await;
    drop((alice, alice_connected, bob, bob_connected));

    match interruption {
        Interruption::WorkerIsLost | Interruption::Both => worker.crash(),
        Interruption::SchedulerRestarts => {
            site.stop().await;
            worker.crash();
            site.start_again().await;
        }
    }
    until("all jobs are queued", async || {
        let state = site.show().await;
        let queues = state.split("\nclients:").next().unwrap_or_default();
        queues.matches("alice:").count() + queues.matches("bob:").count() == 8
    })
    .await;
    if let Interruption::Both = interruption {
        site.restart().await;
    }
    let builder = MockBuilder::allowing_repeats();
    let names = ["a0", "a1", "a2", "a3 urgent", "b1", "b2", "b3", "b4"];
    for name in names {
        builder.end(name, BuildOutcome::Succeeded(""));
    }
    let _worker = MockWorker::start(&site, "w2", 1, &builder).await;
    until("all jobs have started", async || {
        builder.started().len() == names.len()
    })
    .await;
    builder.started()
}

#[test]
fn the_queue_keeps_its_order_whatever_is_restarted() {
    story(async {
        for interruption in [
            Interruption::WorkerIsLost,
            Interruption::SchedulerRestarts,
            Interruption::Both,
        ] {
            let order = order_after(interruption).await;
            let order: Vec<_> = order
                .iter()
                .filter_map(|name| name.strip_prefix("w2 "))
                .collect();
            assert_eq!(
                order,
                ["a3 urgent", "b1", "b2", "a0", "b3", "a1", "b4", "a2"],
                "{interruption:?}"
            );
        }
    });
}

#[test]
fn a_job_that_cannot_be_read_ends_and_its_worker_gets_the_next() {
    story(async {
        let any_port = "127.0.0.1:0".parse().unwrap();
        let site = Site::start_with(|config| config.metrics = Some(any_port)).await;
        let (client, _connected) = connect(&site).await;
        let (_, damaged) = submit(&client, &request("damaged")).await;
        let (_, whole) = submit(&client, &request("whole")).await;
        let database = Connection::open(site.database().with_file_name("jobs.db")).unwrap();
        let changed = database
            .execute(
                "UPDATE jobs SET description = zeroblob(100) WHERE seq = (SELECT min(seq) FROM jobs)",
                [],
            )
            .unwrap();
        assert_eq!(changed, 1);
        let builder = MockBuilder::new();
        builder.end("whole", BuildOutcome::Succeeded("done"));
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (attempts, outcome) = ended(&damaged).await;
        let DurableOutcome::Refused { reason } = outcome else {
            panic!("{outcome:?}")
        };
        assert!(reason.contains("another key"), "{reason}");
        assert_eq!(attempts, 0);
        assert_eq!(ended(&whole).await, (1, success("done")));
        assert!(log(&whole, 1).await.contains("Building"));
        assert_eq!(builder.started(), ["w1 whole"]);
        site.shows("w1 (0): [] (0 running)").await;
        // A worker has had one of them.
        let metrics = site.scheduler().metrics_address().unwrap();
        shows(
            metrics,
            &["ocluster_pool_job_wait_seconds_count{pool=\"pool\"} 1"],
        )
        .await;
    });
}

#[test]
fn an_operator_cancels_a_queued_job_by_the_number_of_its_ticket() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = connect(&site).await;
        let (_, job) = submit(&client, &request("image")).await;
        let (pool, _pool_connected) = site.pool_admin().await;
        pool.cancel(1, "carol").await.unwrap();
        assert_eq!(ended(&job).await, (0, DurableOutcome::CancelledByOperator));
    });
}
