//! What operators are told about a pool, as data.

use std::time::Duration;

use cluster_api::{
    ConnectedWorker, InactiveReason, PauseReason, PoolAdmin, Presence, Submission, TicketStatus,
};

use testkit::{
    BuildOutcome, MockBuilder, MockWorker, Site, docker_with_hint, follow_ticket, story, until,
};

async fn connected(pool: &PoolAdmin, worker: &str) -> ConnectedWorker {
    match pool.worker_details(worker).await.unwrap().presence {
        Presence::Connected(connected) => connected,
        away => panic!("{worker} is not connected: {away:?}"),
    }
}

async fn submit(client: &Submission, job: &str, urgent: bool) -> cluster_api::Ticket {
    let description = docker_with_hint(job, &format!("hint of {job}"));
    client.submit("pool", &description, urgent).await.unwrap()
}

#[test]
fn the_details_of_a_pool_are_complete() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;

        pool.set_active("later", false, true).await.unwrap();
        let later = pool.worker_details("later").await.unwrap();
        assert!(later.paused);
        assert_eq!(
            (later.registrations, later.presence),
            (0, Presence::NeverSeen)
        );

        // A worker that runs a job, while another job is queued.
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = submit(&client, "example", true).await;
        builder.starts("example").await;
        let waiting = submit(&client, "example2", false).await;
        check_running_job(&connected(&pool, "w1").await);
        check_queued_job(&pool).await;

        // The worker has ended both, is paused, and disconnects.
        builder.end("example", BuildOutcome::Succeeded(""));
        builder.end("example2", BuildOutcome::Succeeded(""));
        for ticket in [&running, &waiting] {
            follow_ticket(ticket).await.result.unwrap();
        }
        until("both are known to have ended", async || {
            connected(&pool, "w1").await.finished == 2
        })
        .await;
        pool.pause_worker("w1", true).await.unwrap();
        assert_eq!(
            connected(&pool, "w1").await.inactive,
            [InactiveReason::TemporaryPause]
        );
        drop((worker, running, waiting));
        site.shows("disconnected:\n  later (paused)\n  w1").await;
        let w1 = pool.worker_details("w1").await.unwrap();
        assert_eq!(w1.registrations, 1);
        assert!(matches!(w1.presence, Presence::Left(_)), "{w1:?}");
        let unknown = pool.worker_details("w2").await.unwrap_err();
        assert_eq!(unknown.reason, "Unknown worker");
        site.finish().await;
    });
}

fn check_running_job(w1: &ConnectedWorker) {
    assert!(w1.address.starts_with("127.0.0.1:"), "{}", w1.address);
    assert_eq!((w1.capacity, w1.finished, w1.queued), (1, 0, 0));
    assert_eq!((&*w1.inactive, w1.silent_for), (&[][..], Duration::ZERO));
    let [job] = &w1.running[..] else {
        panic!("{:?}", w1.running)
    };
    assert_eq!(
        (job.client.as_str(), job.cache_hint.as_str(), job.urgent),
        ("alice", "hint of example", true)
    );
    assert!(job.running_for <= w1.registered_for, "{job:?}");
}

async fn check_queued_job(pool: &PoolAdmin) {
    until("it has waited for a millisecond", async || {
        pool.details().await.unwrap().oldest_wait > Duration::ZERO
    })
    .await;
    let details = pool.details().await.unwrap();
    let names: Vec<_> = details.workers.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["later", "w1"]);
    assert_eq!(details.backlog, 1);
    let [alice] = &details.clients[..] else {
        panic!("{:?}", details.clients)
    };
    assert_eq!(
        (alice.id.as_str(), alice.rate, alice.queued, alice.urgent),
        ("alice", 1.0, 1, 0)
    );
}

#[test]
fn a_workers_own_reason_reaches_operators_and_those_who_wait() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let reasons = [PauseReason::new(
            "docker",
            "Docker does not answer",
            "start it",
        )];
        worker.queue.set_pause_reasons(&reasons).await.unwrap();
        // Not shown: the worker takes jobs, in spite of its reasons.
        assert_eq!(connected(&pool, "w1").await.pause_reasons, []);
        worker.queue.set_active(false).await.unwrap();
        let w1 = connected(&pool, "w1").await;
        assert_eq!(w1.inactive, [InactiveReason::WorkerPause]);
        assert_eq!(w1.pause_reasons, reasons);
        let waiting = submit(&client, "example", false).await;
        let obstacle =
            "the only worker of pool pool is paused: w1: Docker does not answer (start it)";
        assert_eq!(
            waiting.status().await,
            Ok(TicketStatus::Queued {
                ahead: 0,
                obstacle: Some(obstacle.to_owned())
            })
        );

        worker.queue.set_pause_reasons(&[]).await.unwrap();
        worker.queue.set_active(true).await.unwrap();
        builder.starts("example").await;
        assert_eq!(connected(&pool, "w1").await.pause_reasons, []);
        builder.end("example", BuildOutcome::Succeeded(""));
        follow_ticket(&waiting).await.result.unwrap();

        // What is shown to clients has a limit.
        let endless = PauseReason {
            problem: "x".repeat(2000),
            ..PauseReason::new("docker", "", "")
        };
        let refused = worker
            .queue
            .set_pause_reasons(&[endless])
            .await
            .unwrap_err();
        assert_eq!(
            refused.reason,
            "reasons[0].problem has 2000 bytes, and the limit is 1024"
        );
        let many = vec![PauseReason::new("docker", "", ""); 17];
        let refused = worker.queue.set_pause_reasons(&many).await.unwrap_err();
        assert_eq!(
            refused.reason,
            "reasons has 17 elements, and the limit is 16"
        );
        drop((waiting, worker));
        site.finish().await;
    });
}
