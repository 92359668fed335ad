//! The client under test, and workers for it.

use std::rc::Rc;
use std::time::Duration;

use cluster_client::{Cluster, Log, LogEvent, Options};
use testkit::{MockBuilder, MockWorker, Site};

/// Connects the client under test with the default options, except that it reconnects soon.
pub(crate) async fn cluster(site: &Site) -> Cluster {
    cluster_with(site, Options::default()).await
}

/// Connects the client under test with these options, except that it reconnects soon.
pub(crate) async fn cluster_with(site: &Site, options: Options) -> Cluster {
    let sturdy_ref = site.cap("submission.cap");
    Cluster::connect(sturdy_ref, reconnecting_soon(options))
        .await
        .unwrap()
}

/// Returns the options with a short reconnect interval: a story does not wait for ten seconds.
pub(crate) fn reconnecting_soon(options: Options) -> Options {
    Options {
        reconnect_interval: Duration::from_millis(10),
        ..options
    }
}

/// Connects a worker of ours, whose jobs an operator can cancel.
pub(crate) async fn worker(
    site: &Site,
    name: &str,
    capacity: i32,
    builder: &Rc<MockBuilder>,
) -> MockWorker {
    let worker = MockWorker::start(site, name, capacity, builder).await;
    worker.enable_cancellation();
    worker
}

/// Reads a log to its end, as a person would see it.
pub(crate) async fn read(mut log: Log) -> String {
    let mut text = String::new();
    while let Some(event) = log.next().await {
        text += &match event {
            LogEvent::Bytes(_) => event.to_string(),
            event => format!("[{event}]\n"),
        };
    }
    text
}
