//! Peers of the metrics endpoint: slow readers, and workers that answer with anything.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{Metric, MetricsSource, Queue, Registration, RpcError, ServeWorker, Worker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use vat::Session;

use crate::bystander::connect;
use crate::harness::{Bounds, Target};

/// How long a health check may take on a busy machine. It took up to 30 s behind slow readers, until they were given
/// up.
const HEALTHY: Duration = Duration::from_secs(4);

/// A worker whose program has 1 MiB to say, and whose machine fails with 5 MiB of newlines.
struct Talkative;

impl ServeWorker for Talkative {
    async fn metrics(self: Rc<Self>, source: MetricsSource) -> Result<Metric, RpcError> {
        match source {
            MetricsSource::Agent => Ok(Metric {
                content_type: "text/html".to_owned(),
                data: "<script>alert(1)</script>".repeat(42_000),
            }),
            MetricsSource::Host => Err(RpcError::failed("\n".repeat(5 << 20) + "x")),
        }
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        Err(RpcError::failed("no updates"))
    }

    async fn additional_metric(self: Rc<Self>, _: String) -> Result<Option<Metric>, RpcError> {
        Ok(None)
    }
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = Vec::new();
    // An end without a proper goodbye is an end.
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asks for a page and reads nothing of it.
async fn slow_reader(address: &str, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // So little that the page stays with the scheduler.
    socket.set_recv_buffer_size(4096).expect("set");
    let address = address.parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    stream
}

/// Connects to the pool as the worker "talkative", which is registered while what this returns is held.
async fn talkative(target: &Target) -> (Session, Queue) {
    let pool = connect(&target.cap("pool-p")).await;
    let registration = Registration::from_client(pool.bootstrap());
    let worker = Worker::serve(Rc::new(Talkative));
    let queue = registration.register("talkative", worker, 0).await;
    (pool, queue.expect("registered"))
}

#[test]
fn slow_readers_cost_others_nothing() {
    let mut target = Target::start(&["--listen-prometheus=127.0.0.1:0"]);
    target.suffers(Bounds::friend(192, 64 << 10), async |target| {
        let _worker = talkative(target).await;
        let address = target.metrics_address();
        let page = "/pool/p/worker/talkative/metrics";
        let mut readers = Vec::new();
        for _ in 0..8 {
            for _ in 0..50 {
                readers.push(slow_reader(&address, page).await);
            }
            let started = Instant::now();
            assert!(get(&address, "/healthz").await.ends_with("ok\n"));
            assert!(get(&address, "/readyz").await.ends_with("ok\n"));
            let took = started.elapsed();
            assert!(took < HEALTHY, "health checks took {took:?}");
        }
        let passed_on = get(&address, page).await;
        let (head, _) = passed_on.split_once("\r\n\r\n").expect("an answer");
        assert!(
            head.contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    });
}

#[test]
fn an_exception_of_a_worker_is_logged_once_and_cut() {
    let mut target = Target::start(&["--listen-prometheus=127.0.0.1:0"]);
    target.suffers(Bounds::friend(128, 16 << 10), async |target| {
        let _worker = talkative(target).await;
        let address = target.metrics_address();
        for _ in 0..5 {
            let failed = get(&address, "/pool/p/worker/talkative/host-metrics").await;
            assert!(failed.starts_with("HTTP/1.1 500 "), "{failed}");
        }
    });
}
