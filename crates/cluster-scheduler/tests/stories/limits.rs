//! What others may use of a scheduler, and the names that they may have.

use std::rc::Rc;

use cluster_api::{Registration, RpcErrorKind, Submission, Ticket, Worker};
use cluster_scheduler::Limits;

use testkit::{
    Connected, MockBuilder, MockWorker, SilentWorker, Site, docker, docker_with_hint,
    follow_ticket, story,
};

/// Names that could be taken for others, or for none.
const BAD_NAMES: &[&str] = &[
    "",
    " ",
    "w ",
    "w\u{202e}1",
    "w\u{200b}",
    "w\u{2028}",
    "w\n2026-11-28 10:00.00      scheduler [INFO] all is well",
    "(backlog)",
    "../../x",
];

/// The most that one refusal may add to the log, in bytes.
const LINE: usize = 1024;

async fn register(pool: &Connected, name: &str) -> Result<cluster_api::Queue, String> {
    let worker = Worker::serve(Rc::new(SilentWorker));
    let registration = Registration::from_client(pool.client.clone());
    let queue = registration.register(name, worker, 1).await;
    queue.map_err(|error| error.reason)
}

/// Returns why a ticket is refused, and whether it may be accepted later.
async fn refusal(ticket: Ticket) -> (RpcErrorKind, String) {
    let error = ticket.job().result().await.unwrap_err();
    (error.kind, error.reason)
}

#[test]
fn names_that_deceive_are_refused() {
    story(async {
        let site = Site::start().await;
        let pool = site.connect(&site.cap("pool-pool.cap")).await;
        let (admin, _connected) = site.admin().await;
        let before = site.logs.text().len();
        for name in BAD_NAMES {
            let refused = register(&pool, name).await.unwrap_err();
            assert!(refused.starts_with("worker's name "), "{name:?}: {refused}");
            let client = admin.add_client(name).await.unwrap_err();
            assert!(
                client.reason.starts_with("client's name "),
                "{name:?}: {client}"
            );
        }
        let long = "w".repeat(30 << 20);
        let refused = register(&pool, &long).await.unwrap_err();
        assert_eq!(refused, "name has 31457280 bytes, and the limit is 65536");
        let refused = register(&pool, &long[..256]).await.unwrap_err();
        assert_eq!(
            refused,
            "worker's name has 256 bytes, and the limit is 255; use a shorter one"
        );
        let logged = site.logs.text().len() - before;
        assert!(logged < LINE, "{logged} bytes of log");
        // Names of real machines are accepted.
        for name in [
            "build-1.example.org:9000",
            "arm64/rack 3",
            "ünïcode",
            "me@host",
        ] {
            drop(register(&pool, name).await.unwrap());
        }
        drop(pool);
        site.finish().await;
    });
}

#[test]
fn an_unknown_pools_name_is_repeated_cut() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("client").await;
        let name = "\u{1b}".repeat(1_000);
        let (_, reason) = refusal(client.submit(&name, &docker("x"), false).await.unwrap()).await;
        assert!(reason.starts_with("Pool ID \"\\u{1b}\\u{1b}"), "{reason}");
        assert!(reason.ends_with("…\" not one of {pool}"), "{reason}");
        let long = client
            .submit(&"p".repeat(60 << 20), &docker("x"), false)
            .await;
        assert_eq!(
            long.unwrap_err().reason,
            "pool has 62914560 bytes, and the limit is 65536"
        );
        site.finish().await;
    });
}

#[test]
fn hints_are_kept_short_and_shown_cut() {
    story(async {
        let site = Site::start().await;
        let (client, _connected) = site.client("client").await;
        let before = site.logs.text().len();
        let mut tickets = Vec::new();
        for n in 0..4 {
            let hint = "\u{1}".repeat(7 << 20) + &n.to_string();
            tickets.push(
                client
                    .submit("pool", &docker_with_hint("x", &hint), false)
                    .await
                    .unwrap(),
            );
        }
        let shown = site.show().await;
        assert!(shown.len() < 16 * LINE, "{} bytes shown", shown.len());
        let logged = site.logs.text().len() - before;
        assert!(logged < 16 * LINE, "{logged} bytes of log");
        drop(tickets);
        site.finish().await;
    });
}

/// Submits jobs of this size as long as it is allowed, at most 5, and returns the tickets and the refusal.
async fn fill(
    client: &Submission,
    name: &str,
    size: usize,
) -> (Vec<Ticket>, (RpcErrorKind, String)) {
    let mut tickets = Vec::new();
    loop {
        let dockerfile = format!("{name}-{}{}", tickets.len(), "x".repeat(size));
        let ticket = client
            .submit("pool", &docker(&dockerfile), false)
            .await
            .unwrap();
        if let Ok(cluster_api::TicketStatus::Queued { .. }) = ticket.status().await {
            tickets.push(ticket);
            assert!(tickets.len() <= 5, "nothing is refused");
        } else {
            return (tickets, refusal(ticket).await);
        }
    }
}

#[test]
fn a_clients_queue_is_bounded_and_no_others() {
    story(async {
        let limits = Limits {
            description_bytes: 10_000,
            queued_jobs: 5,
            client_queue_bytes: 30_000,
            queue_bytes: 60_000,
            ..Limits::default()
        };
        let site = Site::start_with(|config| config.limits = limits).await;
        let (greedy, _c1) = site.client("greedy").await;
        let (other, _c2) = site.client("other").await;
        let (late, _c3) = site.client("late").await;

        let large = greedy
            .submit("pool", &docker(&"x".repeat(10_000)), false)
            .await;
        let (kind, reason) = refusal(large.unwrap()).await;
        assert_eq!(kind, RpcErrorKind::Failed);
        assert!(
            reason.ends_with("and the limit is 10000 (--max-description-size); make it smaller"),
            "{reason}"
        );

        let (jobs, (kind, reason)) = fill(&greedy, "greedy", 10).await;
        assert_eq!((jobs.len(), kind), (5, RpcErrorKind::Overloaded));
        assert_eq!(
            reason,
            "cannot queue the job: 5 jobs of client \"greedy\" are waiting, and the limit is 5 (--max-queued-jobs); \
             submit it again when some have started"
        );
        // Others have their own places, and what is taken back can be had again.
        let (theirs, _) = fill(&other, "other", 10).await;
        assert_eq!(theirs.len(), 5);
        drop((jobs, theirs));
        site.shows("queue: (backlog) []").await;

        let (jobs, (_, reason)) = fill(&greedy, "greedy", 9_000).await;
        assert_eq!(jobs.len(), 3);
        assert!(reason.contains("client \"greedy\" would take"), "{reason}");
        assert!(
            reason.contains("the limit is 30000 (--max-client-queue-size)"),
            "{reason}"
        );
        let (theirs, _) = fill(&other, "other", 9_000).await;
        assert_eq!(theirs.len(), 3);
        let (none, (_, reason)) = fill(&late, "late", 9_000).await;
        assert!(none.is_empty());
        assert!(
            reason.contains("the limit is 60000 (--max-queue-size)"),
            "{reason}"
        );

        // A job that a worker has takes no place.
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 2, &builder).await;
        site.shows("(2 running)").await;
        let (two, _) = fill(&late, "late", 8_000).await;
        assert!(!two.is_empty(), "nothing was given back");
        drop((jobs, theirs, two, worker));
        site.finish().await;
    });
}

#[test]
fn a_connection_registers_so_many_workers_and_a_pool_knows_so_many() {
    story(async {
        let limits = Limits {
            connection_workers: 3,
            pool_workers: 5,
            ..Limits::default()
        };
        let site = Site::start_with(|config| config.limits = limits).await;
        let pool = site.connect(&site.cap("pool-pool.cap")).await;
        let mut queues = Vec::new();
        for n in 0..3 {
            queues.push(register(&pool, &format!("w{n}")).await.unwrap());
        }
        let refused = register(&pool, "w3").await.unwrap_err();
        assert!(
            refused.contains("the limit is 3 (--max-connection-workers)"),
            "{refused}"
        );
        let second = site.connect(&site.cap("pool-pool.cap")).await;
        for n in 3..5 {
            queues.push(register(&second, &format!("w{n}")).await.unwrap());
        }
        let refused = register(&second, "w5").await.unwrap_err();
        assert!(
            refused.contains("the limit is 5 (--max-pool-workers)"),
            "{refused}"
        );
        // A known worker may reconnect.
        queues.pop();
        site.shows("disconnected:\n  w4").await;
        queues.push(register(&second, "w4").await.unwrap());
        drop((queues, pool, second));
        site.finish().await;
    });
}

#[test]
fn bad_names_in_an_old_database_are_ignored() {
    story(async {
        let mut site = Site::start().await;
        drop(site.client("kept").await);
        let database = rusqlite::Connection::open(site.database()).unwrap();
        let long = "w".repeat(1 << 20);
        let strange = (0..1_000).map(|n| format!("w\u{202e}{n}"));
        for name in strange.chain([long.clone(), " ".to_owned(), "(backlog)".to_owned()]) {
            let worker = "INSERT INTO workers (pool, id, paused) VALUES ('pool', ?1, 1)";
            database.execute(worker, [&name]).unwrap();
        }
        let cached = "INSERT INTO cached (pool, cache_hint, worker, created) VALUES ('pool', ?1, 'w1', 1795392000)";
        database.execute(cached, ["\u{7}".repeat(8 << 20)]).unwrap();
        let worker = "INSERT INTO workers (pool, id, paused) VALUES ('pool', 'w1', 0)";
        database.execute(worker, []).unwrap();
        let client = "INSERT INTO sturdy_refs (hash, type, args, created) \
                      VALUES (zeroblob(32), 'ocluster-client', ?1, 1795392000)";
        database.execute(client, [&long]).unwrap();
        drop(database);
        let before = site.logs.text().len();
        for _ in 0..10 {
            site.expect_warning("Ignoring a row of the database");
        }
        site.expect_warning("Ignoring the client");
        site.expect_warning("Ignoring 993 more rows");
        site.restart().await;
        let logged = site.logs.text().len() - before;
        assert!(logged < 16 * LINE, "{logged} bytes of log");
        let shown = site.show().await;
        assert!(shown.contains("disconnected:\n  w1\n"), "{shown}");
        assert!(shown.len() < LINE, "{shown}");
        // The story ends with a worker that is known.
        let (pool, _connected) = site.pool_admin().await;
        pool.forget("w1").await.unwrap();
        site.finish().await;
    });
}

#[test]
fn a_job_of_an_ordinary_size_meets_no_limit() {
    story(async {
        let site = Site::start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "worker-1", 1, &builder).await;
        let (client, _connected) = site.client("client").await;
        builder.end("example", testkit::BuildOutcome::Succeeded(""));
        let hint = "https://github.com/org/repo\nlinux, 5.3 (x86_64) ünïcode";
        let ticket = client
            .submit("pool", &docker_with_hint("example", hint), false)
            .await
            .unwrap();
        assert_eq!(follow_ticket(&ticket).await.result, Ok(String::new()));
        assert_eq!(worker.last_description().unwrap().cache_hint, hint);
        drop((worker, ticket));
        site.finish().await;
    });
}
