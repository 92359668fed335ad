//! Pages that follow what happens.

use std::time::Duration;

use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, story, until};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::browser::Browser;
use super::{operator, settings, start};
use crate::durable::{connect, request, submit};

/// A stream of events.
struct Events {
    stream: TcpStream,
    seen: String,
}

impl Events {
    async fn open(browser: &Browser, path: &str, more: &str) -> Self {
        let head = browser.head("GET", path, more);
        Self {
            stream: browser.send(&head).await,
            seen: String::new(),
        }
    }

    /// Waits until the stream has had a text.
    async fn wait_for(&mut self, text: &str) {
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            let read = tokio::time::timeout(Duration::from_secs(60), self.stream.read(&mut buffer));
            let read = read.await.expect("more events").unwrap_or(0);
            assert_ne!(read, 0, "the stream ended without {text:?}: {}", self.seen);
            self.seen
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }

    /// Returns the id of the last event.
    fn last_id(&self) -> String {
        let mut ids = self
            .seen
            .lines()
            .filter_map(|line| line.strip_prefix("id: "));
        ids.next_back().expect("an id").to_owned()
    }
}

#[test]
fn a_pool_tells_when_something_happens() {
    story(async {
        let site = start().await;
        let browser = operator(&site).await;
        let mut pool = Events::open(&browser, "/pool/pool/events", "").await;
        let mut all = Events::open(&browser, "/events", "").await;
        pool.wait_for("text/event-stream").await;
        let (client, _connected) = connect(&site).await;
        let (_, _job) = submit(&client, &request("image")).await;
        pool.wait_for("event: changed").await;
        all.wait_for("event: changed").await;
        assert_eq!(browser.get("/pool/nowhere/events").await.status, 404);
    });
}

#[test]
fn a_job_tells_until_its_end() {
    story(async {
        let site = start().await;
        let (client, _connected) = connect(&site).await;
        let builder = MockBuilder::new();
        let (id, _job) = submit(&client, &request("image")).await;
        let browser = operator(&site).await;
        let mut job = Events::open(&browser, &format!("/job/{id}/events"), "").await;
        job.wait_for("text/event-stream").await;
        let _worker = MockWorker::start(&site, "w1", 1, &builder).await;
        builder.starts("image").await;
        job.wait_for("event: changed").await;
        builder.end("image", BuildOutcome::Succeeded("done"));
        job.wait_for(&format!("data: {}", u64::MAX)).await;
    });
}

#[test]
fn a_log_is_followed_over_a_restart_of_the_scheduler() {
    story(async {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let mut site = Site::start_with(|config| {
            config.listen = vat::Address::Unix(config.state_dir.with_file_name("socket"));
            let mut web = settings();
            web.listen = address;
            config.web = Some(web);
        })
        .await;
        let (client, connected) = connect(&site).await;
        let builder = MockBuilder::allowing_repeats();
        let worker = MockWorker::start(&site, "w1", 1, &builder).await;
        let (id, job) = submit(&client, &request("image")).await;
        builder.starts("w1 image").await;
        let browser = operator(&site).await;
        let page = browser.get(&format!("/job/{id}")).await;
        page.has("data-follow=\"/job/");
        let path = format!("/job/{id}/log/events?attempt=1&from=0");
        let mut log = Events::open(&browser, &path, "").await;
        log.wait_for("Building image").await;
        let place = log.last_id();
        drop((worker, job, client, connected));
        site.restart().await;

        // The same cookie, and the place of the last event. Lines that come again have the ids that they had.
        let again = format!("Last-Event-ID: {place}\r\n");
        let mut log = Events::open(&browser, &path, &again).await;
        log.wait_for("200 OK").await;
        let (client, _connected) = connect(&site).await;
        let job = client.observe_durable(&id).await.unwrap();
        job.cancel().await.unwrap();
        log.wait_for("event: end").await;
        assert!(log.seen.contains("\"id\":\"L"), "{}", log.seen);
        assert!(!log.seen.contains("\"id\":\"B"), "{}", log.seen);
        until("the page shows the end", async || {
            let page = browser.get(&format!("/job/{id}")).await;
            page.body.contains("cancelled")
        })
        .await;
    });
}
