//! What others write does nothing, and who asks too much gets no more than that.

use cluster_api::{JobRequest, Label};
use testkit::{MockBuilder, MockWorker, story};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::browser::Browser;
use super::{operator, start, start_with, stranger};
use crate::durable::{connect, request, submit};

/// A script, a tag, a link, marks and controls.
const HOSTILE: &str =
    "\"><script>pwned=1</script><img src=x onerror=pwned=1>\u{202e}javascript:\u{1b}]8;;x";

#[test]
fn texts_of_others_are_texts() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let labels = ["repo", "branch", "commit", "title"].map(|name| Label {
            name: name.to_owned(),
            value: HOSTILE.to_owned(),
        });
        let job = JobRequest {
            labels: labels.into(),
            ..request(HOSTILE)
        };
        let (id, _job) = submit(&client, &job).await;
        builder.starts(HOSTILE).await;
        let (_, _waits) = submit(&client, &request("<b>other</b>")).await;
        let browser = operator(&site).await;
        for page in [
            "/".to_owned(),
            "/pool/pool".to_owned(),
            "/worker/pool/w1".to_owned(),
            "/jobs".to_owned(),
            "/jobs?hint=%22%3E%3Cscript%3E&label=a%3D%22%3E%3Cscript%3E&pool=%3Cscript%3E"
                .to_owned(),
            format!("/job/{id}"),
            format!("/job/{id}?q=%3Cscript%3Epwned"),
            format!("/job/{id}?attempt=1&from=0&q=%22%3E%3Cimg"),
            "/nowhere/%3Cscript%3Epwned%3C%2Fscript%3E".to_owned(),
            "/pool/%3Cscript%3Epwned".to_owned(),
            "/jobs?state=%3Cscript%3Epwned".to_owned(),
        ] {
            let answer = browser.get(&page).await;
            for text in [
                "<script>pwned",
                "<img src=x",
                "onerror=pwned=1>\u{202e}",
                "\u{1b}",
                "<b>other",
            ] {
                answer.has_not(text);
            }
            let policy = answer.header("content-security-policy").unwrap();
            assert!(
                policy.contains("default-src 'none'") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("access-control-allow-origin"), None);
            // Nothing is inline, so the policy breaks nothing.
            for inline in [" style=", " onclick=", "<script>", "<style>"] {
                answer.has_not(inline);
            }
        }
        let raw = browser.get(&format!("/job/{id}/log.txt")).await;
        assert_eq!(
            raw.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    });
}

#[test]
fn tricks_with_addresses_find_nothing() {
    story(async {
        let site = start().await;
        let browser = operator(&site).await;
        for (path, status) in [
            ("/../../etc/passwd", 404),
            ("/assets/../Cargo.toml", 404),
            ("/assets/..%2f..%2fCargo.toml", 404),
            ("/pool/..%2f..%2fetc", 404),
            ("/pool/%00", 404),
            ("/pool/pool%00", 404),
            ("/pool/%ff%fe", 400),
            ("/job/..", 404),
            ("/job/%2e%2e%2f%2e%2e", 404),
            ("//pool/pool", 404),
            ("/pool/pool/", 404),
            ("/job/000000000000/log.txt", 404),
            ("/jobs?before=-1", 400),
            ("/jobs?hours=99999999999999999999", 400),
            ("/pool/pool?page=-1", 400),
        ] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
        let long = format!("/pool/{}", "x".repeat(4_000));
        assert_eq!(browser.get(&long).await.status, 414);
        assert_eq!(browser.get("/pool/pool?page=4294967295").await.status, 200);
    });
}

#[test]
fn methods_and_hosts() {
    story(async {
        let site = start().await;
        let browser = operator(&site).await;
        let head = browser.head("HEAD", "/pool/pool", "Connection: close\r\n");
        let answer = browser.ask(&head).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        for method in ["PUT", "DELETE", "OPTIONS", "TRACE"] {
            let request = browser.head(method, "/pool/pool", "Connection: close\r\n");
            assert_eq!(browser.ask(&request).await.status, 405, "{method}");
        }
        // A name that an attacker makes lead here.
        let evil = "GET /enter HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
        assert_eq!(browser.ask(evil).await.status, 421);
        let local = "GET /enter HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n";
        assert_eq!(browser.ask(local).await.status, 200);
    });
}

#[test]
fn requests_have_limits() {
    story(async {
        let site = start().await;
        let browser = operator(&site).await;
        let large = format!("X: {}\r\n", "x".repeat(100_000));
        let mut stream = browser.send(&browser.head("GET", "/", &large)).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok();
        let answer = String::from_utf8_lossy(&bytes).into_owned();
        assert!(answer.is_empty() || answer.contains(" 431 "), "{answer}");
        let form = format!("secret={}", "x".repeat(100_000));
        assert_eq!(browser.post("/enter", &form).await.status, 413);
        // Others are answered all the same.
        assert_eq!(browser.get("/").await.status, 200);
    });
}

#[test]
fn streams_have_a_limit_and_leave_room_for_pages() {
    story(async {
        let site = start_with(|web| {
            web.public_queue = true;
            web.proxy.trusted = vec!["127.0.0.1".parse().unwrap()];
        })
        .await;
        // The browsers are behind a proxy, which says where they are.
        let [one, other, third] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| {
            let mut browser = stranger(&site);
            browser.headers = format!("X-Forwarded-For: {address}\r\n");
            browser
        });
        let mut streams = Vec::new();
        for browser in [&one, &other] {
            for _ in 0..500 {
                streams.push(stream(browser).await.unwrap());
            }
            // No address takes them all.
            assert_eq!(browser.get("/events").await.status, 503);
        }
        assert_eq!(third.get("/events").await.status, 503);
        assert_eq!(third.get("/pool/pool").await.status, 200);
        // Those without a link do not take the streams of the others.
        let _other = stream(&operator(&site).await).await.unwrap();
        drop(streams);
        testkit::until("there is room again", async || stream(&one).await.is_some()).await;
    });
}

/// Begins to follow all pools; `None` if that is refused.
async fn stream(browser: &Browser) -> Option<TcpStream> {
    let mut stream = browser.send(&browser.head("GET", "/events", "")).await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    (&first == b"HTTP/1.1 200").then_some(stream)
}

#[test]
fn an_address_cannot_take_all_connections() {
    story(async {
        let site = start_with(|web| {
            web.limits.connections = 20;
            web.limits.connections_of_one = 10;
            web.proxy.trusted = vec!["127.0.0.3".parse().unwrap()];
        })
        .await;
        let browser = stranger(&site);
        let mut open = Vec::new();
        for _ in 0..10 {
            // It sends nothing, for as long as that is allowed.
            open.push(connect_from("127.0.0.1", &browser).await);
        }
        assert!(!is_answered(connect_from("127.0.0.1", &browser).await).await);
        assert!(is_answered(connect_from("127.0.0.2", &browser).await).await);
        // A proxy may have more, as it has them for others. All together have what there is.
        testkit::until("all connections are taken", async || {
            open.push(connect_from("127.0.0.3", &browser).await);
            !is_answered(connect_from("127.0.0.2", &browser).await).await
        })
        .await;
        assert!(open.len() > 15, "{} connections", open.len());
        drop(open);
        testkit::until("there is room again", async || {
            is_answered(connect_from("127.0.0.1", &browser).await).await
        })
        .await;
    });
}

/// Connects from an address of this machine.
async fn connect_from(address: &str, browser: &Browser) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(format!("{address}:0").parse().unwrap())
        .unwrap();
    socket.connect(browser.address).await.unwrap()
}

/// Returns whether a request is answered, whatever the answer is. The connection is closed then.
async fn is_answered(mut stream: TcpStream) -> bool {
    let request = "GET /enter HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // An error means that it was closed.
    stream.write_all(request.as_bytes()).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    answer.starts_with(b"HTTP/1.1 200")
}
