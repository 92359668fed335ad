//! What scrapers see of a scheduler and its workers, and that nobody can keep it from them.

use std::net::SocketAddr;
use std::time::Duration;

use cluster_api::{MAX_METRICS_BYTES, Metric, RpcError};
use cluster_scheduler::{Scheduler, StartError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, config_in, docker, story, until};

async fn start() -> (Site, SocketAddr) {
    let any_port = "127.0.0.1:0".parse().unwrap();
    let site = Site::start_with(|config| config.metrics = Some(any_port)).await;
    let address = site.scheduler().metrics_address().unwrap();
    (site, address)
}

/// Sends `request`, and returns what comes until the other side closes.
async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An end without a proper goodbye is an end.
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

/// An answer: status, content type (if there is one) and body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer(pub(crate) u16, Option<String>, pub(crate) String);

fn answer(status: u16, content_type: Option<&str>, body: &str) -> Answer {
    Answer(status, content_type.map(str::to_owned), body.to_owned())
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path).await
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let text = send(address, &request).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let content_type = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    answer(status, content_type, body)
}

/// Waits until the scheduler's page has all of `lines`.
pub(crate) async fn shows(address: SocketAddr, lines: &[&str]) {
    until(&format!("the page has {lines:?}"), async || {
        let Answer(_, _, page) = get(address, "/metrics").await;
        lines
            .iter()
            .all(|line| page.lines().any(|present| present == *line))
    })
    .await;
}

/// The metrics while four jobs are queued.
const QUEUED: &[&str] = &[
    r#"ocluster_pool_jobs_submitted_total{pool="pool"} 4"#,
    r#"ocluster_pool_queue_length{pool="pool",priority="high",queue="incoming"} 1"#,
    r#"ocluster_pool_queue_length{pool="pool",priority="low",queue="incoming"} 3"#,
    r#"ocluster_scheduler_client_submitted_jobs{client="alice",pool="pool",priority="low"} 3"#,
];

/// The metrics while four jobs are running.
const RUNNING: &[&str] = &[
    r#"ocluster_pool_jobs_accepted_total{pool="pool"} 4"#,
    r#"ocluster_pool_worker_running_jobs{pool="pool",worker="w1"} 4"#,
    r#"ocluster_pool_workers_capacity{pool="pool"} 4"#,
    r#"ocluster_pool_job_wait_seconds_count{pool="pool"} 4"#,
];

/// The metrics when three of them have ended.
const ENDED_THREE: &[&str] = &[r#"ocluster_pool_job_run_seconds_count{pool="pool"} 3"#];

/// The metrics when their worker is lost.
const DISCONNECTED: &[&str] = &[
    r#"ocluster_pool_jobs_ended_total{pool="pool",result="ok"} 1"#,
    r#"ocluster_pool_jobs_ended_total{pool="pool",result="fail"} 1"#,
    r#"ocluster_pool_jobs_ended_total{pool="pool",result="cancelled"} 1"#,
    r#"ocluster_pool_jobs_ended_total{pool="pool",result="lost"} 1"#,
    r#"ocluster_pool_workers_connected{pool="pool"} 0"#,
    r#"ocluster_pool_reconnections_total{pool="pool"} 0"#,
];

/// The metrics when the worker has reconnected and a queued job was cancelled.
const RECONNECTED: &[&str] = &[
    r#"ocluster_pool_registrations_total{pool="pool"} 2"#,
    r#"ocluster_pool_reconnections_total{pool="pool"} 1"#,
    r#"ocluster_pool_jobs_cancelled_total{pool="pool"} 1"#,
    r#"ocluster_pool_job_run_seconds_count{pool="pool"} 4"#,
    r#"ocluster_database_queued_writes 0"#,
    r#"ocluster_database_commits_failed_total 0"#,
];

#[test]
fn what_happens_is_counted() {
    story(async {
        let (site, address) = start().await;
        let Answer(status, content_type, _) = get(address, "/metrics").await;
        assert_eq!(
            (status, content_type.as_deref()),
            (200, Some("text/plain; version=0.0.4"))
        );
        let builder = MockBuilder::new();
        let (alice, _connected) = site.client("alice").await;
        let mut tickets = Vec::new();
        for (name, urgent) in [
            ("good", true),
            ("bad", false),
            ("unwanted", false),
            ("lost", false),
        ] {
            tickets.push(alice.submit("pool", &docker(name), urgent).await.unwrap());
        }
        shows(address, QUEUED).await;

        // A worker takes all of them, and each has another outcome.
        let worker = MockWorker::start(&site, "w1", 4, &builder).await;
        for name in ["good", "bad", "unwanted", "lost"] {
            builder.starts(name).await;
        }
        shows(address, RUNNING).await;
        builder.end("good", BuildOutcome::Succeeded(""));
        builder.end("bad", BuildOutcome::Failed("exit 1"));
        tickets[2].job().cancel().await.unwrap();
        shows(address, ENDED_THREE).await;
        worker.disconnect();
        shows(address, DISCONNECTED).await;

        // It reconnects. A job that is cancelled in the queue does not count as ended.
        let worker = MockWorker::start(&site, "w1", 0, &builder).await;
        let queued = alice.submit("pool", &docker("later"), false).await.unwrap();
        queued.cancel().await.unwrap();
        shows(address, RECONNECTED).await;
        drop((worker, tickets, queued));
        site.finish().await;
    });
}

#[test]
fn workers_are_asked_over_their_own_connection() {
    story(async {
        let (site, address) = start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "ein Wörker", 1, &builder).await;
        worker.on_metrics(Some(Ok(Metric {
            content_type: "text/plain; version=0.0.4; of=worker".to_owned(),
            data: "up 1\n".to_owned(),
        })));
        let base = "/pool/pool/worker/ein%20W%C3%B6rker";
        let of_worker = Some("text/plain; version=0.0.4");
        assert_eq!(
            get(address, &format!("{base}/metrics")).await,
            answer(200, of_worker, "up 1\n# Agent\n")
        );
        assert_eq!(
            get(address, &format!("/{base}//host-metrics/?all")).await,
            answer(200, of_worker, "up 1\n# Host\n")
        );
        assert_eq!(
            get(address, &format!("{base}/raid")).await,
            answer(200, of_worker, "raid 1\n")
        );
        assert_eq!(
            get(address, &format!("{base}/other")).await,
            answer(404, None, "Not found")
        );

        // A worker can neither fail nor lie in a way that others would notice.
        let failed = answer(500, None, "Error: Worker metrics collection failed");
        worker.on_metrics(Some(Err(RpcError::failed("no exporter"))));
        assert_eq!(get(address, &format!("{base}/host-metrics")).await, failed);
        site.expect_warning(
            r#"Error getting metrics for "pool"/"ein Wörker": Failed: no exporter"#,
        );
        worker.on_metrics(Some(Ok(Metric {
            content_type: "text/html\r\nSet-Cookie: a".to_owned(),
            data: "<script>alert(1)</script>".to_owned(),
        })));
        let request = format!("GET {base}/metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        let harmless = send(address, &request).await;
        assert!(
            harmless.contains("content-type: text/plain; version=0.0.4\r\n"),
            "{harmless}"
        );
        assert!(
            harmless.contains("x-content-type-options: nosniff\r\n"),
            "{harmless}"
        );
        assert!(!harmless.contains("Cookie"), "{harmless}");
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn a_request_to_a_silent_worker_times_out() {
    story(async {
        let (site, address) = start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        worker.on_metrics(None);
        let silent =
            tokio::task::spawn_local(
                async move { get(address, "/pool/pool/worker/w1/metrics").await },
            );
        // Others are answered meanwhile.
        assert_eq!(get(address, "/healthz").await.0, 200);
        assert!(!silent.is_finished());
        assert_eq!(
            silent.await.unwrap(),
            answer(500, None, "Error: Worker metrics collection failed")
        );
        site.expect_warning("Timeout: no answer within 5 s");
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn missing_pages_have_upstreams_errors() {
    story(async {
        let (site, address) = start().await;
        for (method, path, body) in [
            (
                "GET",
                "/pool/other/worker/w1/metrics",
                "Error: No such pool",
            ),
            (
                "GET",
                "/pool/pool/worker/w1/metrics",
                "Error: Worker not connected",
            ),
            (
                "GET",
                "/pool/pool/worker/%0a/metrics",
                "Error: Worker not connected",
            ),
            ("GET", "/pool/pool", "Error: Bad request"),
            ("GET", "/", "Error: Bad request"),
            ("POST", "/metrics", "Error: Bad request"),
            // The answer to HEAD has no body.
            ("HEAD", "/metrics", ""),
        ] {
            let refused = answer(400, None, body);
            assert_eq!(ask(address, method, path).await, refused, "{method} {path}");
        }
        site.finish().await;
    });
}

#[test]
fn a_scheduler_that_cannot_save_is_alive_but_not_ready() {
    story(async {
        let (site, address) = start().await;
        let well = answer(200, None, "ok\n");
        assert_eq!(get(address, "/healthz").await, well);
        assert_eq!(get(address, "/readyz").await, well);

        let other = rusqlite::Connection::open(site.database()).unwrap();
        other
            .execute_batch("ALTER TABLE workers RENAME TO hidden")
            .unwrap();
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        until("it is not ready", async || {
            get(address, "/readyz").await.0 == 503
        })
        .await;
        assert_eq!(get(address, "/healthz").await, well);
        shows(
            address,
            &[
                "ocluster_database_failing 1",
                "ocluster_database_unsaved_writes 1",
            ],
        )
        .await;

        other
            .execute_batch("ALTER TABLE hidden RENAME TO workers")
            .unwrap();
        until("it is ready again", async || {
            get(address, "/readyz").await == well
        })
        .await;
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn no_client_can_shut_out_others() {
    story(async {
        let (site, address) = start().await;
        let mut idle = Vec::new();
        // More than are accepted at once: some send nothing, and some requests never end.
        for number in 0..200 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request: &[u8] = match number % 2 {
                0 => b"",
                _ => b"GET /metrics HTTP/1.1\r\nX-Endless: ",
            };
            stream.write_all(request).await.unwrap();
            idle.push(stream);
        }
        assert_eq!(get(address, "/healthz").await.0, 200);

        // A head without end is cut off, however fast it comes.
        let endless = format!(
            "GET /metrics HTTP/1.1\r\nX-Endless: {}",
            "x".repeat(1 << 20)
        );
        let refused = send(address, &endless).await;
        assert!(!refused.contains("200 OK"), "{refused}");
        let nonsense = send(address, "\0\0\0\0 HTTP\r\n\r\n").await;
        assert!(nonsense.starts_with("HTTP/1.1 400"), "{nonsense}");
        site.finish().await;
    });
}

#[test]
fn a_connection_that_does_not_read_is_closed() {
    story(async {
        let any_port = "127.0.0.1:0".parse().unwrap();
        let site = Site::start_with(|config| {
            config.metrics = Some(any_port);
            config.limits.metrics_bytes = MAX_METRICS_BYTES;
        })
        .await;
        let address = site.scheduler().metrics_address().unwrap();
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        // More than fits between the two ends of a connection.
        let size = 15 << 20;
        worker.on_metrics(Some(Ok(Metric {
            content_type: "text/plain".to_owned(),
            data: "#".repeat(size),
        })));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /pool/pool/worker/w1/metrics HTTP/1.1\r\nHost: h\r\n\r\n")
            .await
            .unwrap();
        stream.readable().await.unwrap();
        let half_a_minute = Duration::from_secs(31);
        tokio::time::pause();
        tokio::time::advance(half_a_minute).await;
        tokio::time::resume();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
        assert!(rest.starts_with(b"HTTP/1.1 200 OK"));
        assert!(rest.len() < size, "all {} bytes came", rest.len());
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn slow_readers_keep_nobody_from_being_answered() {
    story(async {
        let (site, address) = start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        worker.on_metrics(Some(Ok(Metric {
            content_type: "text/plain".to_owned(),
            data: "#".repeat(3 << 20),
        })));
        let mut readers = Vec::new();
        for _ in 0..400 {
            let socket = TcpSocket::new_v4().unwrap();
            // So little that the page stays with the scheduler.
            socket.set_recv_buffer_size(4096).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            let request = b"GET /pool/pool/worker/w1/metrics HTTP/1.1\r\nHost: h\r\n\r\n";
            stream.write_all(request).await.unwrap();
            readers.push(stream);
            if readers.len().is_multiple_of(50) {
                let started = std::time::Instant::now();
                assert_eq!(get(address, "/healthz").await.0, 200);
                assert_eq!(get(address, "/readyz").await.0, 200);
                let took = started.elapsed();
                assert!(took < Duration::from_secs(2), "health checks took {took:?}");
            }
        }
        // Who comes last and reads gets all of it.
        let Answer(status, _, page) = get(address, "/pool/pool/worker/w1/metrics").await;
        assert_eq!((status, page.len()), (200, (3 << 20) + "# Agent\n".len()));
        drop((readers, worker));
        site.finish().await;
    });
}

#[test]
fn a_page_of_a_worker_that_is_too_large_is_refused() {
    story(async {
        let (site, address) = start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let failed = answer(500, None, "Error: Worker metrics collection failed");
        let before = site.logs.text().len();
        worker.on_metrics(Some(Err(RpcError::failed("\n".repeat(1 << 20) + "x"))));
        for _ in 0..5 {
            assert_eq!(get(address, "/pool/pool/worker/w1/metrics").await, failed);
        }
        site.expect_warning("Error getting metrics for \"pool\"/\"w1\": Failed: \\n");
        worker.on_metrics(Some(Ok(Metric {
            content_type: "text/plain".to_owned(),
            data: "#".repeat(5 << 20),
        })));
        assert_eq!(get(address, "/pool/pool/worker/w1/metrics").await, failed);
        let logged = site.logs.text().len() - before;
        assert!(logged < 2_000, "{logged} bytes of log");
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn however_many_ask_a_worker_is_asked_once() {
    story(async {
        let (site, address) = start().await;
        let builder = MockBuilder::new();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        worker.on_metrics(None);
        let path = "/pool/pool/worker/w1/metrics";
        let asking: Vec<_> = (0..20)
            .map(|_| tokio::task::spawn_local(async move { get(address, path).await }))
            .collect();
        for asked in asking {
            assert_eq!(asked.await.unwrap().0, 500);
        }
        assert_eq!(worker.count_scrapes(), 1);
        site.expect_warning("Timeout: no answer within 5 s");
        // A later scrape asks the worker again.
        worker.on_metrics(Some(Err(RpcError::failed("no exporter"))));
        assert_eq!(get(address, path).await.0, 500);
        assert_eq!(worker.count_scrapes(), 2);
        drop(worker);
        site.finish().await;
    });
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    story(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut config = config_in(directory.path());
        config.metrics = Some(address);
        let error = Scheduler::start(config.clone()).await.err().unwrap();
        assert!(matches!(error, StartError::ListenMetrics { .. }));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        // Nothing was left behind that would keep the next one from starting.
        assert!(!config.secrets_dir.join("admin.cap").exists());
        drop(taken);
        let scheduler = Scheduler::start(config).await.unwrap();
        assert_eq!(scheduler.metrics_address(), Some(address));
    });
}

#[test]
fn nothing_is_served_unless_asked_for() {
    story(async {
        let site = Site::start().await;
        assert_eq!(site.scheduler().metrics_address(), None);
        site.finish().await;
    });
}
