//! Workers that keep their connections and do not answer, and those that come back meanwhile.

use std::time::Duration;

use cluster_api::{
    InactiveReason, MetricsSource, PoolAdmin, Presence, Registration, RpcError, Submission, Ticket,
    Worker,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use vat::{Address, DialOptions, Dialer, SturdyRef};

use testkit::{
    BuildOutcome, Connected, MockBuilder, MockWorker, Site, docker_with_hint, follow_ticket,
    pass_seconds, story, until,
};

/// Longer than it takes to notice that a worker does not answer.
const NOTICED: u64 = 45;

/// The same for a worker that a job waits for.
const SOON_NOTICED: u64 = 14;

/// The silence after which a worker is probed before it gets a job, and a little more.
const DOUBTED: u64 = 3;

const SUCCEEDED: &str = "Job succeeded\n";

async fn submit(client: &Submission, job: &str, hint: &str) -> Ticket {
    let description = docker_with_hint(job, hint);
    client.submit("pool", &description, false).await.unwrap()
}

/// Returns how long a connected worker has been silent, and whether it counts as not answering.
async fn silence(pool: &PoolAdmin, worker: &str) -> (Duration, bool) {
    match pool.worker_details(worker).await.unwrap().presence {
        Presence::Connected(worker) => (
            worker.silent_for,
            worker.inactive.contains(&InactiveReason::NotAnswering),
        ),
        away => panic!("{worker} is not connected: {away:?}"),
    }
}

#[test]
fn an_update_does_not_wait_for_a_frozen_worker() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let _ticket = submit(&client, "first", "").await;
        builder.starts("first").await;

        let update = tokio::task::spawn_local(pool.update("w1", None).into_future());
        site.shows("(inactive: shutting down)").await;
        w1.freeze();
        site.expect_warning(
            "Worker \"w1\" has not answered for 30 s: no jobs are assigned until it responds",
        );
        pass_seconds(NOTICED).await;
        let error = update.await.unwrap().unwrap_err();
        assert_eq!(error.reason, "worker \"w1\" does not answer");
        site.shows("w1 (0): (inactive: not answering) (1 running)")
            .await;
        w1.thaw();
        builder.end("first", BuildOutcome::Succeeded(""));
    });
}

#[test]
fn what_waits_for_a_frozen_worker_is_done_by_others() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let first = submit(&client, "first", "cached").await;
        builder.starts("first").await;

        // It is frozen while it builds. Another job likes it for its cache, though others are free.
        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;
        let second = submit(&client, "second", "cached").await;
        site.shows("w1 (10): [alice:cached@").await;
        w1.freeze();
        site.expect_warning(
            "Worker \"w1\" has not answered for 30 s: no jobs are assigned until it responds",
        );
        pass_seconds(NOTICED).await;
        builder.end("second", BuildOutcome::Succeeded(""));
        assert!(
            follow_ticket(&second)
                .await
                .log
                .starts_with("Building on w2\n")
        );

        // Operators see it.
        let state = site.show().await;
        assert!(
            state.contains("  w1 (0): (inactive: not answering) (1 running)\n"),
            "{state}"
        );
        assert!(
            state.contains("\nunresponsive (no jobs assigned):\n  w1: for "),
            "{state}"
        );
        let (silent, counts) = silence(&pool, "w1").await;
        assert!(silent >= Duration::from_secs(30) && counts, "{silent:?}");
        assert_eq!(silence(&pool, "w2").await, (Duration::ZERO, false));

        // It answers again, ends its job, and gets another one.
        w1.thaw();
        site.shows("w1 (0): [] (1 running)").await;
        assert!(site.logs.contains("Worker \"w1\" answers again after "));
        assert!(!site.show().await.contains("not answering"));
        builder.end("first", BuildOutcome::Succeeded(""));
        assert!(follow_ticket(&first).await.log.ends_with(SUCCEEDED));
        drop(w2);
        site.shows("disconnected:\n  w2").await;
        let third = submit(&client, "third", "").await;
        builder.end("third", BuildOutcome::Succeeded(""));
        assert!(follow_ticket(&third).await.log.ends_with(SUCCEEDED));
        drop((w1, first, second, third));
        site.finish().await;
    });
}

#[test]
fn a_worker_that_froze_while_it_was_idle_gets_no_job() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("alice").await;
        // It waits for a job, and has waited longer than the other.
        let w1 = MockWorker::start(&site, "w1", 2, &builder).await;
        site.shows("queue: (ready) [w1").await;
        let w2 = MockWorker::start(&site, "w2", 2, &builder).await;
        site.shows("queue: (ready) [w2").await;
        pass_seconds(DOUBTED).await;
        w1.freeze();

        // The scheduler has not noticed it yet.
        let first = submit(&client, "first", "").await;
        site.shows("w1 (600): [alice:").await;
        // What comes meanwhile goes to the other at once.
        let second = submit(&client, "second", "").await;
        builder.end("second", BuildOutcome::Succeeded(""));
        assert!(
            follow_ticket(&second)
                .await
                .log
                .starts_with("Building on w2\n")
        );
        site.expect_warning("Worker \"w1\" has not answered for 10 s");
        pass_seconds(SOON_NOTICED).await;
        builder.end("first", BuildOutcome::Succeeded(""));
        assert!(
            follow_ticket(&first)
                .await
                .log
                .starts_with("Building on w2\n")
        );
        assert_eq!(builder.started(), ["w2 second", "w2 first"]);

        // It still waits for one, and gets it when it is back.
        drop(w2);
        site.shows("disconnected:\n  w2").await;
        let third = submit(&client, "third", "").await;
        w1.thaw();
        builder.end("third", BuildOutcome::Succeeded(""));
        assert!(
            follow_ticket(&third)
                .await
                .log
                .starts_with("Building on w1\n")
        );
        drop((w1, first, second, third));
        site.finish().await;
    });
}

#[test]
fn an_idle_worker_that_answers_gets_its_job() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        for job in ["first", "second", "third"] {
            pass_seconds(DOUBTED).await;
            let ticket = submit(&client, job, "").await;
            builder.end(job, BuildOutcome::Succeeded(""));
            assert!(follow_ticket(&ticket).await.log.ends_with(SUCCEEDED));
        }
        drop(w1);
        site.finish().await;
    });
}

#[test]
fn any_answer_or_other_message_counts() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;

        // One from before there were other sources of metrics.
        let old = site.connect(&site.cap("pool-pool.cap")).await;
        let registration = Registration::from_client(old.client.clone());
        let object = Worker::broken(RpcError::unimplemented("Unknown method"));
        let queue = registration.register("old", object, 1).await.unwrap();
        // One whose answers stand in line behind something large.
        let busy = MockWorker::start(&site, "busy", 1, &builder).await;
        busy.freeze();
        let handle = pool.worker("busy").await.unwrap();
        for _ in 0..12 {
            pass_seconds(5).await;
            handle.metrics(MetricsSource::Agent).await.unwrap_err();
            for worker in ["old", "busy"] {
                let (silent, counts) = silence(&pool, worker).await;
                assert!(
                    silent <= Duration::from_secs(7) && !counts,
                    "{worker} {silent:?}"
                );
            }
        }
        busy.thaw();
        drop((busy, handle, queue, old, registration));
        site.finish().await;
    });
}

/// Returns how to reach a service over a line that takes 64 KiB a second of what is sent to it.
async fn slow_line(to: &SturdyRef) -> SturdyRef {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
    let Address::Tcp { host, port } = to.address.clone() else {
        panic!("{to:?} is not reached by TCP")
    };
    tokio::task::spawn_local(async move {
        let (mut near_in, mut near_out) = listener.accept().await.unwrap().0.into_split();
        let far = TcpStream::connect((host, port)).await.unwrap();
        let (mut far_in, mut far_out) = far.into_split();
        let slow = async {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = near_in.read(&mut chunk).await {
                far_out.write_all(&chunk[..count]).await.ok();
                if count == chunk.len() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        tokio::select! {
            () = slow => {}
            _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
        }
    });
    SturdyRef {
        address,
        ..to.clone()
    }
}

#[test]
fn a_worker_that_sends_a_long_log_over_a_slow_line_is_there() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let line = slow_line(&site.cap("pool-pool.cap")).await;
        let worker = MockWorker::start_in(&line, "w1", 2, &builder).await;
        let ticket = submit(&client, "example", "").await;
        builder.starts("example").await;
        // The answers to pings stand behind ten megabytes.
        let log = "x".repeat(10_000_000);
        builder.end("example", BuildOutcome::Failed(log.clone().leak()));
        let ended = tokio::task::spawn_local(async move { follow_ticket(&ticket).await });
        let mut overdue = 0;
        until("all has come", async || {
            pass_seconds(5).await;
            let (silent, counts) = silence(&pool, "w1").await;
            assert!(!counts, "{silent:?}");
            overdue += usize::from(silent > Duration::ZERO);
            ended.is_finished()
        })
        .await;
        assert!(overdue > 6, "it never owed an answer for long");
        assert!(ended.await.unwrap().log.ends_with(&format!("{log}\n")));
        drop(worker);
        site.finish().await;
    });
}

/// When it was the scheduler that stood still, its workers are not to blame.
#[test]
fn a_stopped_scheduler_blames_no_worker() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        w1.freeze();
        until("it is asked", async || {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(11)).await;
            tokio::time::resume();
            silence(&pool, "w1").await.0 > Duration::ZERO
        })
        .await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3_600)).await;
        tokio::time::resume();
        w1.thaw();
        until("it answers", async || {
            silence(&pool, "w1").await == (Duration::ZERO, false)
        })
        .await;
        drop(w1);
        site.finish().await;
    });
}

#[test]
fn a_worker_that_comes_back_takes_over_from_one_that_does_not_answer() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("alice").await;
        let lingering = MockWorker::start(&site, "w1", 1, &builder).await;
        let first = submit(&client, "first", "").await;
        builder.starts("first").await;
        lingering.freeze();

        let (cap, theirs) = (site.cap("pool-pool.cap"), builder.clone());
        let back =
            tokio::task::spawn_local(
                async move { MockWorker::start_in(&cap, "w1", 1, &theirs).await },
            );
        site.expect_warning("Worker \"w1\" has not answered for 10 s");
        site.expect_warning("with the one at 127.0.0.1:");
        until("it takes over", async || {
            pass_seconds(1).await;
            back.is_finished()
        })
        .await;
        let back = back.await.unwrap();
        assert_eq!(
            follow_ticket(&first).await.result.unwrap_err(),
            "Disconnected: worker \"w1\" disconnected (taken over by a new registration, as it did not answer)"
        );
        builder.end("second", BuildOutcome::Succeeded(""));
        let second = submit(&client, "second", "").await;
        assert!(follow_ticket(&second).await.log.ends_with(SUCCEEDED));

        // The old registration has ended: its late calls fail.
        lingering.thaw();
        lingering.queue.set_active(true).await.unwrap_err();
        let reason = lingering.disconnected().await;
        let taken_over =
            "aborted by the other side: taken over by a new registration, as it did not answer";
        assert!(reason.contains(taken_over), "{reason}");
        assert!(site.show().await.contains("  w1 (0): [] (0 running)\n"));
        drop((lingering, back, first, second));
        site.finish().await;
    });
}

#[test]
fn a_process_that_connects_anew_takes_over_from_itself() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let dialer = Dialer::new(DialOptions::default());
        let cap = site.cap("pool-pool.cap");
        let connect = async || {
            let session = dialer.connect(&cap).await.unwrap();
            Connected {
                client: session.bootstrap(),
                session,
            }
        };
        let lingering = MockWorker::start_over(connect().await, "w1", 1, &builder).await;
        site.expect_warning("with the one at 127.0.0.1:");
        let back = MockWorker::start_over(connect().await, "w1", 1, &builder).await;
        lingering.queue.set_active(true).await.unwrap_err();
        let reason = lingering.disconnected().await;
        let taken_over =
            "aborted by the other side: taken over by a new connection of the same process";
        assert!(reason.contains(taken_over), "{reason}");
        site.shows("  w1 (0): [] (0 running)").await;
        drop((lingering, back));
        site.finish().await;
    });
}

/// Not even by way of its own connection: what comes through it proves that it is there.
#[test]
fn one_connection_cannot_register_a_name_twice() {
    story(async {
        let site = Site::start().await;
        let connected = site.connect(&site.cap("pool-pool.cap")).await;
        let registration = Registration::from_client(connected.client.clone());
        let object = || Worker::broken(RpcError::failed("unused"));
        let first = registration.register("w1", object(), 1).await.unwrap();
        site.expect_warning("Worker \"w1\" already registered!");
        let refused = registration.register("w1", object(), 1).await.unwrap_err();
        assert_eq!(refused.to_string(), "Failed: Worker already registered!");
        first.set_active(true).await.unwrap();
        drop((first, registration, connected));
        site.finish().await;
    });
}
