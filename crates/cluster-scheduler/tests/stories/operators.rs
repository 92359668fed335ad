//! What operators do, and what goes wrong while they do it.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::Submission;
use rusqlite::Connection;

use testkit::{
    BuildOutcome, Connected, MockBuilder, MockWorker, ProgressReports, Site, Transcript,
    UpdateReply, docker, follow, follow_ticket, story, until,
};

#[test]
fn a_revoked_client_is_refused_at_once() {
    story(async {
        let site = Site::start().await;
        let cap = site.client_cap("alice").await;
        let held = site.connect(&cap).await;
        let (admin, _connected) = site.admin().await;
        admin.remove_client("alice").await.unwrap();

        // The object still has a holder, but it cannot be requested any more, not even on that connection.
        site.expect_warning("asks for a service that does not exist");
        let refused = Connected::to(&cap)
            .await
            .err()
            .expect("the old secret still works");
        assert!(
            refused
                .to_string()
                .contains("Unknown persistent service ID"),
            "{refused}"
        );
        let client = Submission::from_client(held.client.clone());
        let ticket = client.submit("pool", &docker("example"), false);
        assert_eq!(
            follow_ticket(&ticket).await.result.unwrap_err(),
            "Failed: Access has been revoked"
        );
        assert_eq!(
            client.save().await.unwrap_err().reason,
            "Access has been revoked"
        );

        // Nor does it help that another client has the name now.
        admin.add_client("alice").await.unwrap();
        let ticket = client.submit("pool", &docker("example"), false);
        assert_eq!(
            follow_ticket(&ticket).await.result.unwrap_err(),
            "Failed: Access has been revoked"
        );
        site.finish().await;
    });
}

#[test]
fn removing_a_client_cancels_what_it_has_queued() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (alice, _a) = site.client("alice").await;
        let (bob, _b) = site.client("bob").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = alice
            .submit("pool", &docker("alice1"), false)
            .await
            .unwrap();
        builder.starts("alice1").await;
        let queued = alice
            .submit("pool", &docker("alice2"), false)
            .await
            .unwrap();
        let bobs = bob.submit("pool", &docker("bob1"), false).await.unwrap();
        let (pool, _c) = site.pool_admin().await;
        pool.set_rate("alice", 2.0).await.unwrap();

        let (admin, _d) = site.admin().await;
        admin.remove_client("alice").await.unwrap();
        let cancelled = "Failed: Client removed (cancelled)";
        assert_eq!(follow_ticket(&queued).await.result.unwrap_err(), cancelled);
        assert_eq!(queued.cancel().await.unwrap_err().to_string(), cancelled);
        let state = site.show().await;
        assert!(!state.contains("alice"), "{state}");

        // Running jobs continue, and so do other clients.
        builder.end("alice1", BuildOutcome::Succeeded(""));
        assert_eq!(follow_ticket(&running).await.result, Ok(String::new()));
        builder.end("bob1", BuildOutcome::Succeeded(""));
        assert_eq!(follow_ticket(&bobs).await.result, Ok(String::new()));

        // Nothing of it is left for another client with that name.
        admin.add_client("alice").await.unwrap();
        let rates = Connection::open(site.database()).unwrap().query_row(
            "SELECT count(*) FROM pool_user_rate",
            [],
            |row| row.get::<_, i64>(0),
        );
        assert_eq!(rates, Ok(0));
        drop((worker, running, queued, bobs));
        site.finish().await;
    });
}

#[test]
fn removing_a_client_with_many_queued_jobs() {
    story(async {
        let site = Site::start().await;
        let (alice, _a) = site.client("alice").await;
        let (bob, _b) = site.client("bob").await;
        let mut alices = Vec::new();
        let mut bobs = Vec::new();
        for _ in 0..700 {
            alices.push(
                alice
                    .submit("pool", &docker("example"), false)
                    .await
                    .unwrap(),
            );
            bobs.push(bob.submit("pool", &docker("example"), false).await.unwrap());
        }
        let (admin, _c) = site.admin().await;
        admin.remove_client("alice").await.unwrap();
        for ticket in &alices {
            let error = ticket.cancel().await.unwrap_err();
            assert_eq!(error.to_string(), "Failed: Client removed (cancelled)");
        }
        for ticket in &bobs {
            ticket.cancel().await.unwrap();
        }
        drop((alices, bobs));
        site.finish().await;
    });
}

#[test]
fn invalid_rates() {
    story(async {
        let site = Site::start().await;
        let (_client, _connected) = site.client("alice").await;
        let (pool, _admin) = site.pool_admin().await;
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = pool.set_rate("alice", rate).await.unwrap_err();
            let expected = format!("cannot use rate {rate}: it must be a finite number above zero");
            assert_eq!(error.reason, expected);
        }
        assert_eq!(
            pool.set_rate("nobody", 1.0).await.unwrap_err().reason,
            "No such user"
        );
        pool.set_rate("alice", 2.5).await.unwrap();
        assert!(site.show().await.ends_with("clients: alice(2)\n"));
        site.finish().await;
    });
}

#[test]
fn unknown_and_disconnected_workers() {
    story(async {
        let site = Site::start().await;
        let (pool, _admin) = site.pool_admin().await;
        let (admin, _connected) = site.admin().await;
        for name in ["nobody", "", "a\nb"] {
            let unknown = "Unknown worker";
            assert_eq!(pool.worker(name).await.unwrap_err().reason, unknown);
            assert_eq!(pool.update(name, None).await.unwrap_err().reason, unknown);
            assert_eq!(pool.drain(name, None).await.unwrap_err().reason, unknown);
            assert_eq!(
                pool.set_active(name, true, false).await.unwrap_err().reason,
                unknown
            );
            let forgotten = pool.forget(name).await.unwrap_err().reason;
            assert_eq!(forgotten, format!("Worker {name:?} not known in this pool"));
        }
        assert_eq!(
            admin.pool("zz").show().await.unwrap_err().to_string(),
            "Failed: No such pool"
        );

        // Disconnected ones can be paused and drained, but not updated.
        pool.set_active("w1", true, true).await.unwrap();
        let (reports, progress) = ProgressReports::new();
        pool.drain("w1", progress).await.unwrap();
        assert_eq!(reports.get(), ["Disconnected (nothing to drain)"]);
        assert!(site.show().await.contains("disconnected:\n  w1 (paused)\n"));
        assert_eq!(
            pool.update("w1", None).await.unwrap_err().reason,
            "Unknown worker"
        );

        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let connected = pool.forget("w1").await.unwrap_err().reason;
        assert_eq!(connected, "Worker \"w1\" is still connected!");
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn update() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        builder.starts("example").await;

        let (pool, _admin) = site.pool_admin().await;
        let (reports, progress) = ProgressReports::new();
        let updated = pool.update("w1", progress);
        until("it waits for the job", async || {
            reports.get() == ["Running jobs: 1"]
        })
        .await;
        site.shows("(inactive: shutting down) (1 running)").await;
        builder.end("example", BuildOutcome::Succeeded(""));
        assert_eq!(follow_ticket(&ticket).await.result, Ok(String::new()));
        worker.until_updating().await;
        drop(worker);
        site.shows("disconnected:\n  w1").await;

        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        updated.await.unwrap();
        assert_eq!(reports.get(), ["Running jobs: 1", "Restarting"]);
        site.shows("  w1 (0): [] (0 running)").await;
        for line in [
            "Worker \"w1\" is shutting down",
            "Restarting \"w1\"",
            "Waiting for \"w1\" to reconnect after update",
        ] {
            assert!(
                site.logs
                    .scheduler_messages()
                    .iter()
                    .any(|logged| logged == line),
                "{line}"
            );
        }
        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn update_that_is_refused() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        worker.on_update(UpdateReply::Refuse("no new version"));
        let (pool, _admin) = site.pool_admin().await;
        let error = pool.update("w1", None).await.unwrap_err();
        assert_eq!(error.to_string(), "Failed: no new version");

        // It continues in its old version.
        let (client, _connected) = site.client("client").await;
        builder.end("example", BuildOutcome::Succeeded(""));
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        assert_eq!(follow_ticket(&ticket).await.result, Ok(String::new()));
        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn update_that_never_comes_back() {
    story(async {
        let as_upstream = Site::start().await;
        never_comes_back(as_upstream, Duration::from_secs(600)).await;
    });
}

#[test]
fn update_that_does_not_come_back_in_the_time_that_is_set() {
    story(async {
        let limit = Duration::from_secs(20);
        let impatient = Site::start_with(|config| config.update_timeout = limit).await;
        never_comes_back(impatient, limit).await;
    });
}

/// Updates a worker that does not come back, which shows after `limit`.
async fn never_comes_back(site: Site, limit: Duration) {
    let builder = MockBuilder::new();
    let worker = MockWorker::start(&site, "w1", 1, &builder).await;
    let (pool, _admin) = site.pool_admin().await;
    let (reports, progress) = ProgressReports::new();
    let updated = tokio::task::spawn_local(pool.update("w1", progress));
    worker.until_updating().await;
    drop(worker);
    until("the scheduler waits", async || {
        site.logs
            .contains("Waiting for \"w1\" to reconnect after update")
    })
    .await;

    // Far more than a busy machine takes for what comes next.
    let rest = Duration::from_secs(15);
    tokio::time::pause();
    tokio::time::advance(limit - rest).await;
    tokio::time::resume();
    // Had it ended, that answer would have come before this one.
    pool.show().await.unwrap();
    assert!(!updated.is_finished());
    tokio::time::pause();
    tokio::time::advance(rest).await;
    tokio::time::resume();
    let error = updated.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "Failed: Timeout waiting for worker to reconnect!"
    );
    assert_eq!(reports.get(), ["Restarting"]);
    site.finish().await;
}

#[test]
fn update_of_a_worker_that_is_lost_before() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        builder.starts("example").await;
        let (pool, _admin) = site.pool_admin().await;
        let (reports, progress) = ProgressReports::new();
        let updated = pool.update("w1", progress);
        until("it waits for the job", async || {
            reports.get() == ["Running jobs: 1"]
        })
        .await;
        drop(worker);
        let error = updated.await.unwrap_err();
        assert_eq!(
            error.reason,
            "worker \"w1\" disconnected before it was updated"
        );
        drop(ticket);
        site.finish().await;
    });
}

#[test]
fn update_whose_operator_leaves() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        builder.starts("example").await;
        let (pool, admin) = site.pool_admin().await;
        let updated = pool.update("w1", None);
        site.shows("(inactive: shutting down)").await;

        drop((updated, pool, admin));
        site.shows("  w1 (0): [] (1 running)").await;
        builder.end("example", BuildOutcome::Succeeded(""));
        assert_eq!(follow_ticket(&ticket).await.result, Ok(String::new()));
        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn a_pause_outlives_the_connection() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        pool.set_active("w1", false, false).await.unwrap();
        drop(worker);
        site.shows("disconnected:\n  w1 (paused)").await;

        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        site.shows("  w1 (0): (inactive: admin pause) (0 running)")
            .await;
        worker.queue.set_active(false).await.unwrap();
        site.shows("  w1 (0): (inactive: worker pause, admin pause) (0 running)")
            .await;
        pool.set_active("w1", true, false).await.unwrap();
        worker.queue.set_active(true).await.unwrap();
        site.shows("  w1 (0): [] (0 running)").await;
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn a_temporary_pause_ends_when_the_worker_reconnects() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let active = async || pool.workers().await.unwrap()[0].active;
        pool.pause_worker("w1", true).await.unwrap();
        site.shows("  w1 (0): (inactive: temporary pause) (0 running)")
            .await;
        assert!(!active().await);
        // The worker itself cannot end it.
        worker.queue.set_active(true).await.unwrap();
        site.shows("  w1 (0): (inactive: temporary pause) (0 running)")
            .await;
        pool.pause_worker("w1", false).await.unwrap();
        site.shows("  w1 (0): [] (0 running)").await;
        assert!(active().await);

        // Nor does it outlive an operator's wish that the worker should work.
        pool.pause_worker("w1", true).await.unwrap();
        pool.set_active("w1", true, false).await.unwrap();
        site.shows("  w1 (0): [] (0 running)").await;

        pool.pause_worker("w1", true).await.unwrap();
        drop(worker);
        site.shows("disconnected:\n  w1").await;
        let error = pool.pause_worker("w1", true).await.unwrap_err();
        assert_eq!(error.reason, "Unknown worker");
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        site.shows("  w1 (0): [] (0 running)").await;
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn a_database_that_cannot_be_written() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("alice").await;
        let (admin, _a) = site.admin().await;
        let (pool, _b) = site.pool_admin().await;

        // Another process locks the file for longer than a write waits.
        let other = Connection::open(site.database()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let failed = "cannot save to the database: database is locked";
        let error = admin.add_client("bob").await.unwrap_err();
        assert_eq!(error.reason, failed);
        assert_eq!(
            admin.list_clients().await.unwrap(),
            ["alice"],
            "bob was not added"
        );
        let error = pool.set_rate("alice", 2.0).await.unwrap_err();
        assert!(
            error.reason.starts_with(&format!(
                "{failed}; the change is applied, but not saved yet; retrying"
            )),
            "{error}"
        );

        // Jobs go on all the time.
        let builder = MockBuilder::new();
        builder.end("example", BuildOutcome::Succeeded(""));
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        assert_eq!(follow_ticket(&ticket).await.result, Ok(String::new()));

        // What could not be saved then is saved once it can.
        other.execute_batch("ROLLBACK").unwrap();
        until("all is saved", async || {
            let saved = "SELECT (SELECT count(*) FROM pool_user_rate WHERE rate = 2.0)
                       + (SELECT count(*) FROM workers WHERE id = 'w1')
                       + (SELECT count(*) FROM cached WHERE cache_hint = '1')";
            other.query_row(saved, [], |row| row.get::<_, i64>(0)) == Ok(3)
        })
        .await;
        admin.add_client("bob").await.unwrap();
        drop((worker, ticket));
        site.finish().await;
    });
}

#[test]
fn a_job_whose_client_watches_a_lost_worker() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("client").await;
        let worker = MockWorker::start(&site, "w1", 2, &builder).await;
        let ticket = client
            .submit("pool", &docker("example"), false)
            .await
            .unwrap();
        let job = Rc::new(ticket.job().await.unwrap());
        let watched = Rc::clone(&job);
        let watching = tokio::task::spawn_local(async move { follow(&watched).await });
        builder.starts("example").await;
        worker.disconnect();

        let Transcript { result, .. } = watching.await.unwrap();
        let lost = result.unwrap_err();
        assert!(
            lost.starts_with("Disconnected: worker \"w1\" disconnected ("),
            "{lost}"
        );
        // A later call gets the same error.
        assert_eq!(job.result().await.unwrap_err().to_string(), lost);
        assert_eq!(ticket.cancel().await.unwrap_err().to_string(), lost);
        drop((ticket, job));
        site.finish().await;
    });
}
