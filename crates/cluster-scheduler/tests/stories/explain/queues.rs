//! Workers take jobs, but not this one yet.

use cluster_api::Explanation;
use expect_test::expect;
use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, follow_ticket, pass_seconds, story};

use super::{check, submit};

#[test]
fn the_only_worker_is_busy() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (alice, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = submit(&alice, "running", "", false).await;
        builder.starts("running").await;
        check(
            &running,
            expect![[r#"
            running:
            running on w1
        "#]],
        )
        .await;

        let next = submit(&alice, "next", "", false).await;
        check(
            &next,
            expect![[r#"
                busy:
                next in line; the only worker of pool pool is busy
            "#]],
        )
        .await;
        drop((running, next, w1));
    });
}

#[test]
fn all_workers_are_busy() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (pool, _admin) = site.pool_admin().await;
        let (alice, _connected) = site.client("alice").await;
        let (bob, _connected2) = site.client("bob").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let running = submit(&alice, "running", "", false).await;
        builder.starts("running").await;
        let next = submit(&alice, "next", "", false).await;
        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;
        builder.starts("next").await;
        let mut queued = Vec::new();
        for name in ["a1", "a2"] {
            queued.push(submit(&bob, name, "", false).await);
        }
        check(
            &queued[1],
            expect![[r#"
            busy:
            1 job ahead of this one (1 of the same client); all 2 workers of pool pool are busy
        "#]],
        )
        .await;
        queued.push(submit(&alice, "urgent", "", true).await);
        check(
            &queued[0],
            expect![[r#"
            busy:
            1 job ahead of this one (1 urgent); all 2 workers of pool pool are busy
        "#]],
        )
        .await;
        pool.set_active("w2", false, false).await.unwrap();
        pool.set_active("w3", false, true).await.unwrap();
        check(
            &queued[1],
            expect![[r#"
            busy:
            2 jobs ahead of this one (1 urgent, 1 of the same client); the only worker of pool
            pool that takes jobs is busy (1 paused, 1 not connected)
        "#]],
        )
        .await;
        let explanation = queued[1].explain().await.unwrap();
        let Explanation {
            ahead,
            urgent_ahead,
            own_ahead,
            forecast,
            ..
        } = explanation;
        assert_eq!((ahead, urgent_ahead, own_ahead, forecast), (2, 1, 1, None));
        drop((running, next, queued, w1, w2));
    });
}

#[test]
fn a_job_is_held_back_by_its_clients_share() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (alice, _connected) = site.client("alice").await;
        let (bob, _connected2) = site.client("bob").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let mut tickets = Vec::new();
        for name in ["first", "second", "third"] {
            tickets.push(submit(&alice, name, "", false).await);
        }
        builder.starts("first").await;
        tickets.push(submit(&bob, "later", "", false).await);
        check(
            &tickets[1],
            expect![[r#"
            share:
            1 job ahead of this one, submitted later by a client that has used less of its share;
            the only worker of pool pool is busy; an operator can give its client a larger share
            (ocluster-admin set-rate)
        "#]],
        )
        .await;
        check(
            &tickets[3],
            expect![[r#"
                busy:
                next in line; the only worker of pool pool is busy
            "#]],
        )
        .await;
        drop((tickets, w1));
    });
}

#[test]
fn a_job_waits_for_the_worker_that_has_its_hint() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        let first = submit(&client, "first", "app", false).await;
        builder.starts("first").await;
        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;
        site.shows("queue: (ready) [w2]").await;
        let second = submit(&client, "second", "app", false).await;
        let third = submit(&client, "third", "app", false).await;
        check(
            &second,
            expect![[r#"
                cache-wait:
                waiting for w1, whose cache saves about TIME (if w1 is still busy in TIME, any worker
                that is free takes it); next in line
            "#]],
        )
        .await;
        check(
            &third,
            expect![[r#"
                cache-wait:
                waiting for w1, whose cache saves about TIME (if w1 is still busy in TIME, any worker
                that is free takes it); 1 job ahead of this one (1 of the same client)
            "#]],
        )
        .await;
        // The others are busy when the time is over.
        let other = submit(&client, "other", "", false).await;
        builder.starts("other").await;
        pass_seconds(600).await;
        check(
            &second,
            expect![[r#"
                cache-wait:
                waiting for w1, whose cache saves about TIME (any worker that is free takes it, too);
                next in line
            "#]],
        )
        .await;
        drop((first, second, third, other, w1, w2));
    });
}

#[test]
fn a_job_is_left_to_the_worker_that_has_its_hint() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let (client, _connected) = site.client("alice").await;
        let w1 = MockWorker::start(&site, "w1", 1, &builder).await;
        // A cache saves four minutes, and jobs without a hint take longer than that.
        for (job, hint, seconds) in [
            ("cold", "app", 300),
            ("warm", "app", 60),
            ("other1", "", 1_000),
            ("other2", "", 1_000),
        ] {
            let ticket = submit(&client, job, hint, false).await;
            builder.starts(job).await;
            pass_seconds(seconds).await;
            builder.end(job, BuildOutcome::Succeeded(""));
            follow_ticket(&ticket).await;
        }
        let mut tickets = vec![submit(&client, "long1", "", false).await];
        builder.starts("long1").await;
        let w2 = MockWorker::start(&site, "w2", 1, &builder).await;
        tickets.push(submit(&client, "long2", "", false).await);
        builder.starts("long2").await;
        let left = submit(&client, "left", "app", false).await;
        tickets.push(submit(&client, "long3", "", false).await);
        check(
            &left,
            expect![[r#"
                busy:
                next in line; all 2 workers of pool pool are busy
            "#]],
        )
        .await;

        // The worker without its hint leaves it, and takes the next.
        builder.end("long2", BuildOutcome::Succeeded(""));
        builder.starts("long3").await;
        check(
            &left,
            expect![[r#"
                cache-wait:
                waiting for w1, whose cache saves about TIME (if w1 is still busy in TIME, any worker
                that is free takes it); next in line
            "#]],
        )
        .await;
        let text = left.explain().await.unwrap().text;
        // Some of the time that jobs took is real.
        let saves = ["saves about 3m59s", "saves about 4m00s"];
        assert!(saves.iter().any(|saves| text.contains(saves)), "{text}");

        // It waits no longer than that saves.
        pass_seconds(240).await;
        check(
            &left,
            expect![[r#"
                busy:
                next in line; all 2 workers of pool pool are busy
            "#]],
        )
        .await;
        drop((left, tickets, w1, w2));
    });
}
