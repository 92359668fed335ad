//! What operators of ours see and do beyond upstream's: notes about pauses, jobs by their numbers, workers in natural
//! order.

use cluster_api::{NewPause, PoolAdmin, WorkerNote};
use rusqlite::Connection;

use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, docker, follow_ticket, story, until};

async fn note(pool: &PoolAdmin, worker: &str) -> WorkerNote {
    let workers = pool.overview(0).await.unwrap().workers;
    let found = workers.into_iter().find(|note| note.name == worker);
    found.unwrap_or_else(|| panic!("no worker {worker}"))
}

fn by_alice(note: &str) -> NewPause {
    NewPause {
        by: "alice@desk".to_owned(),
        note: note.to_owned(),
        ..NewPause::default()
    }
}

#[test]
fn a_pause_keeps_who_and_why_and_outlives_a_restart() {
    story(async {
        let mut site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        {
            let (pool, _connected) = site.pool_admin().await;
            assert_eq!(note(&pool, "w1").await.pause, None);
            pool.pause("w1", &by_alice("new disk")).await.unwrap();
            // An admin of upstream's pauses it once more: what is known is kept.
            pool.set_active("w1", false, false).await.unwrap();
        }
        drop(worker);
        site.restart().await;
        let (pool, _connected) = site.pool_admin().await;
        let kept = note(&pool, "w1").await.pause.unwrap();
        assert_eq!(
            (kept.by.as_str(), kept.note.as_str()),
            ("alice@desk", "new disk")
        );

        // So does one of ours who gives no reason.
        let bob = NewPause {
            by: "bob@desk".to_owned(),
            ..NewPause::default()
        };
        pool.pause("w1", &bob).await.unwrap();
        assert_eq!(note(&pool, "w1").await.pause.unwrap().by, "alice@desk");

        // Another reason replaces it; the end of the pause removes it, from the file too.
        pool.pause("w1", &by_alice("fan")).await.unwrap();
        assert_eq!(note(&pool, "w1").await.pause.unwrap().note, "fan");
        pool.set_active("w1", true, false).await.unwrap();
        assert_eq!(note(&pool, "w1").await.pause, None);
        let rows = Connection::open(site.database()).unwrap().query_row(
            "SELECT count(*) FROM pauses",
            [],
            |row| row.get::<_, i64>(0),
        );
        assert_eq!(rows, Ok(0));

        // A pause by upstream's admin has a time, and no more.
        pool.set_active("w1", false, false).await.unwrap();
        assert_eq!(note(&pool, "w1").await.pause.unwrap().by, "");
        // A worker that never came can have a note as well.
        let later = NewPause {
            auto_create: true,
            ..by_alice("not yet")
        };
        pool.pause("later", &later).await.unwrap();
        assert_eq!(note(&pool, "later").await.pause.unwrap().note, "not yet");
        site.finish().await;
    });
}

#[test]
fn the_note_of_a_pause_that_ends_with_a_connection_ends_with_it() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _connected) = site.pool_admin().await;
        let until_reconnect = NewPause {
            until_reconnect: true,
            ..by_alice("a look")
        };
        let refused = pool.pause("w1", &until_reconnect).await.unwrap_err();
        assert_eq!(refused.reason, "Unknown worker");
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        pool.pause("w1", &until_reconnect).await.unwrap();
        site.shows("w1 (0): (inactive: temporary pause)").await;
        assert_eq!(note(&pool, "w1").await.pause.unwrap().note, "a look");
        drop(worker);
        site.shows("disconnected:\n  w1").await;
        assert_eq!(note(&pool, "w1").await.pause, None);
        site.finish().await;
    });
}

#[test]
fn a_note_that_is_too_long_is_refused_by_its_limit() {
    story(async {
        let site = Site::start().await;
        let (pool, _connected) = site.pool_admin().await;
        let refused = pool
            .pause("w1", &by_alice(&"x".repeat(1_001)))
            .await
            .unwrap_err();
        assert_eq!(
            refused.reason,
            "the note has 1001 bytes, and the limit is 1000; shorten it"
        );
        site.finish().await;
    });
}

/// Cancels the first of two queued jobs by its number, twice.
async fn cancel_first_queued(pool: &PoolAdmin) {
    let overview = pool.overview(1).await.unwrap();
    assert_eq!(overview.more, 1);
    let [job] = &overview.queued[..] else {
        panic!("{overview:?}")
    };
    assert_eq!(
        (job.client.as_str(), job.worker.as_deref()),
        ("alice", None)
    );
    let number = job.ticket;
    assert_eq!(pool.cancel(number, "bob").await, Ok(None));
    assert_eq!(
        pool.cancel(number, "bob").await.unwrap_err().reason,
        format!("no job {number} is queued or running in this pool")
    );
}

#[test]
fn jobs_are_cancelled_by_their_numbers() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _a) = site.pool_admin().await;
        let (client, _b) = site.client("alice").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = client
            .submit("pool", &docker("first"), false)
            .await
            .unwrap();
        builder.starts("first").await;
        let queued = client
            .submit("pool", &docker("second"), false)
            .await
            .unwrap();
        let others = client
            .submit("pool", &docker("third"), false)
            .await
            .unwrap();
        cancel_first_queued(&pool).await;
        assert_eq!(
            follow_ticket(&queued).await.result.unwrap_err(),
            "Failed: Ticket cancelled by an operator"
        );

        // A running job, on a worker that cannot cancel by number: by the client's ticket.
        let first = pool.worker_details("w1").await.unwrap();
        let cluster_api::Presence::Connected(w1) = first.presence else {
            panic!("w1 is disconnected")
        };
        let cancelled = pool.cancel(w1.running[0].ticket, "bob").await;
        assert_eq!(cancelled, Ok(Some("w1".to_owned())));
        assert_eq!(
            follow_ticket(&running).await.result.unwrap_err(),
            "Failed: Build cancelled"
        );

        // Without the ticket, only the client can cancel it.
        builder.starts("third").await;
        let job = others.job().into_future().await.unwrap();
        drop(others);
        let third = w1.running[0].ticket + 2;
        until("the ticket is gone", async || {
            let refused = pool.cancel(third, "bob").await;
            refused.is_err_and(|error| error.reason.contains("released the ticket"))
        })
        .await;
        builder.end("third", BuildOutcome::Succeeded(""));
        assert_eq!(job.result().await, Ok(String::new()));
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn an_overview_has_workers_in_natural_order_and_few_jobs() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _a) = site.pool_admin().await;
        let (client, _b) = site.client("alice").await;
        let mut workers = Vec::new();
        for name in ["w10", "w2", "w1"] {
            pool.set_active(name, false, true).await.unwrap();
            workers.push(MockWorker::start(&site, name, 1, &builder).await);
        }
        let mut tickets = Vec::new();
        for _ in 0..50 {
            tickets.push(client.submit("pool", &docker("job"), false).await.unwrap());
        }
        let overview = pool.overview(3).await.unwrap();
        let names: Vec<_> = overview.workers.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names, ["w1", "w2", "w10"]);
        let at = |text: &str| overview.state.find(text).expect(text);
        assert!(at("  w2 (0)") < at("  w10 (0)"), "{}", overview.state);
        assert!(overview.state.contains("[(47 more) "), "{}", overview.state);
        assert_eq!((overview.queued.len(), overview.more), (3, 47));
        let all = pool.overview(u32::MAX).await.unwrap();
        assert_eq!((all.queued.len(), all.more), (50, 0));
        drop((tickets, workers));
        site.finish().await;
    });
}
