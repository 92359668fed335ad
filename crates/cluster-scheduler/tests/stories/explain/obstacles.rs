//! No worker takes jobs.

use cluster_api::PauseReason;
use expect_test::expect;
use testkit::{MockBuilder, MockWorker, Site, pass_seconds, story};

use super::{REFRESHED, check, note, submit};

#[test]
fn no_worker_is_there() {
    story(async {
        let site = Site::start().await;
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let ticket = submit(&client, "image", "", false).await;
        check(
            &ticket,
            expect![[r#"
            no-workers:
            no worker has ever registered in pool pool; ask an operator to start one, or use another
            pool
        "#]],
        )
        .await;
        let builder = MockBuilder::new();
        pool.set_active("w1", false, true).await.unwrap();
        check(&ticket, expect![[r#"
            not-connected:
            the only worker of pool pool, w1, is not connected (not seen since the scheduler started);
            ask an operator to start it
        "#]]).await;
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        drop(worker);
        site.shows("disconnected:\n  w1").await;
        check(
            &ticket,
            expect![[r#"
            not-connected:
            the only worker of pool pool, w1, is not connected (last seen TIME ago); ask an operator
            to start it
        "#]],
        )
        .await;
        pool.set_active("w2", false, true).await.unwrap();
        check(
            &ticket,
            expect![[r#"
            not-connected:
            none of the 2 workers of pool pool is connected (w1 was last seen TIME ago); ask an
            operator to start them
        "#]],
        )
        .await;
        drop(ticket);
    });
}

#[test]
fn all_workers_are_paused() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        pool.set_active("w1", false, false).await.unwrap();
        let ticket = submit(&client, "image", "", false).await;
        check(
            &ticket,
            expect![[r#"
            admin-pause:
            the only worker of pool pool is paused: w1: paused by an operator TIME ago; ask an
            operator to unpause it (ocluster-admin unpause)
        "#]],
        )
        .await;
        pool.pause("w1", &note(false)).await.unwrap();
        check(
            &ticket,
            expect![[r#"
            admin-pause:
            the only worker of pool pool is paused: w1: paused by ann@desk TIME ago: "new kernel";
            ask an operator to unpause it (ocluster-admin unpause)
        "#]],
        )
        .await;
        drop(ticket);

        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;
        pool.pause("w2", &note(true)).await.unwrap();
        pool.set_active("w3", false, true).await.unwrap();
        let ticket = submit(&client, "image", "", false).await;
        check(
            &ticket,
            expect![[r#"
                paused:
                all 2 connected workers of pool pool are paused: w1: paused by ann@desk TIME ago:
                "new kernel"; w2: paused by ann@desk TIME ago, until it reconnects: "new kernel";
                ask an operator to unpause them (ocluster-admin unpause)
            "#]],
        )
        .await;
        drop((ticket, w1, w2));
    });
}

#[test]
fn all_workers_have_paused_themselves() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        w1.queue.set_active(false).await.unwrap();
        let ticket = submit(&client, "image", "", false).await;
        check(
            &ticket,
            expect![[r#"
            worker-pause:
            the only worker of pool pool is paused: w1: paused by itself (see its log)
        "#]],
        )
        .await;
        let reasons = [
            PauseReason::new("docker", "Docker does not answer\u{1b}", "start it"),
            PauseReason::new("state-disk", "its disk is 28% free of 30% wanted", ""),
        ];
        w1.queue.set_pause_reasons(&reasons).await.unwrap();
        check(
            &ticket,
            expect![[r#"
            worker-pause:
            the only worker of pool pool is paused: w1: Docker does not answer\u{1b} (start it),
            its disk is 28% free of 30% wanted
        "#]],
        )
        .await;
        // A text has an end, whatever workers report.
        let reasons = vec![PauseReason::new("docker", &"\u{1b}".repeat(1000), "x"); 16];
        w1.queue.set_pause_reasons(&reasons).await.unwrap();
        pass_seconds(REFRESHED).await;
        let text = ticket.explain().await.unwrap().text;
        assert!(text.len() < 6_000, "{} bytes", text.len());
        assert!(text.ends_with("(x), and 13 other problems"), "{text}");
        drop((ticket, w1));
    });
}

#[test]
fn all_workers_are_being_updated_or_do_not_answer() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let update = tokio::task::spawn_local(pool.update("w1", None).into_future());
        w1.until_updating().await;
        let ticket = submit(&client, "image", "", false).await;
        check(
            &ticket,
            expect![[r#"
            shutting-down:
            the only worker of pool pool is paused: w1: about to be updated
        "#]],
        )
        .await;
        w1.freeze();
        site.expect_warning("Worker \"w1\" has not answered for 30 s");
        pass_seconds(45).await;
        update.await.unwrap().unwrap_err();
        check(
            &ticket,
            expect![[r#"
            not-answering:
            the only worker of pool pool is paused: w1: has not answered for TIME (check the machine
            and its network)
        "#]],
        )
        .await;
        drop((ticket, w1));
    });
}
