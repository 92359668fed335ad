//! Answers requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use pool::WorkerName;
use tokio::time::Instant;
use vat::Counters;

use super::body::Text;
use super::route::Route;
use crate::cluster::Cluster;
use crate::metrics::{Report, Scrapes, Source, Stalls, targets};

/// How long the scheduler's own page is shown again instead of being made anew. No scraper needs ten a second, and
/// making one delays other tasks.
const FRESH: Duration = Duration::from_millis(100);

/// Answers requests, from the state as it is then.
pub(crate) struct Endpoint {
    cluster: Rc<Cluster>,
    counters: Counters,
    stalls: Stalls,
    scrapes: Scrapes,
    /// The last page, and when it was made.
    last: RefCell<Option<(Instant, Bytes)>>,
}

impl Endpoint {
    pub(crate) fn new(cluster: Rc<Cluster>, counters: Counters) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            counters,
            stalls: Stalls::new(),
            scrapes: Scrapes::default(),
            last: RefCell::default(),
        })
    }

    /// Measures what can only be measured in time. Never ends.
    pub(crate) async fn measure(&self) {
        self.stalls.watch().await;
    }

    /// `host` is the address of this server as the client knows it.
    pub(crate) async fn answer(&self, method: &Method, path: &str, host: &str) -> Response<Text> {
        let route = Route::of(path).filter(|_| *method == Method::GET);
        match route {
            Some(Route::Scheduler) => {
                let text = self.own_page();
                found(
                    HeaderValue::from_static(prometheus_text::CONTENT_TYPE),
                    text,
                )
            }
            Some(Route::Worker {
                pool,
                worker,
                source,
            }) => self.worker(&pool, &worker, &source).await,
            Some(Route::Discovery(source)) => found(
                HeaderValue::from_static("application/json"),
                targets(&self.cluster, host, &source),
            ),
            Some(Route::Alive) => plain(StatusCode::OK, "ok\n"),
            Some(Route::Ready) => self.readiness(),
            None => plain(StatusCode::BAD_REQUEST, "Error: Bad request"),
        }
    }

    fn own_page(&self) -> Bytes {
        let now = Instant::now();
        if let Some((made, text)) = &*self.last.borrow()
            && now < *made + FRESH
        {
            return text.clone();
        }
        let text = Report::take(&self.cluster, &self.counters, &self.stalls).text();
        let text = Bytes::from(text);
        self.last.replace(Some((now, text.clone())));
        text
    }

    fn readiness(&self) -> Response<Text> {
        if self.cluster.database().is_failing {
            let why = "Error: the database cannot be written; see the scheduler's log\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        if self.cluster.durable_jobs().store_stats().is_failing {
            let why = "Error: the database of jobs cannot be written; see the scheduler's log\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        if self.cluster.is_shutting_down() {
            let why = "Error: the scheduler is shutting down\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        plain(StatusCode::OK, "ok\n")
    }

    async fn worker(&self, pool: &str, name: &str, source: &Source) -> Response<Text> {
        let Some(reactor) = self.cluster.pool(pool) else {
            return plain(StatusCode::BAD_REQUEST, "Error: No such pool");
        };
        let connected = WorkerName::new(name)
            .ok()
            .and_then(|name| reactor.connected(&name));
        let Some((id, worker)) = connected else {
            return plain(StatusCode::BAD_REQUEST, "Error: Worker not connected");
        };
        let limit = self.cluster.limits().metrics_bytes;
        let key = (pool.to_owned(), id);
        match self
            .scrapes
            .scrape(key.clone(), &worker, source, limit)
            .await
        {
            Ok(Some(page)) => found(page.content_type.clone(), page.text.clone()),
            Ok(None) => plain(StatusCode::NOT_FOUND, "Not found"),
            Err(error) => {
                if self.scrapes.should_warn(key) {
                    let error = error.shown();
                    tracing::warn!(target: "scheduler", "Error getting metrics for {pool:?}/{name:?}: {error}");
                }
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Error: Worker metrics collection failed",
                )
            }
        }
    }
}

fn found(content_type: HeaderValue, text: impl Into<Bytes>) -> Response<Text> {
    let mut response = Response::new(Text::new(text));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Text> {
    let mut response = Response::new(Text::new(text.to_owned()));
    *response.status_mut() = status;
    response
}
