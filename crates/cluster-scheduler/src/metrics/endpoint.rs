//! What is answered to whom.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Metric, RpcError, Worker};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use pool::WorkerName;
use vat::Counters;

use super::report::Report;
use super::route::{Route, Source};
use super::stalls::Stalls;
use super::{discovery, page};
use crate::cluster::Cluster;

/// How long a worker may take to answer. Scrapers give up after ten seconds, unless told otherwise.
const WORKER_LIMIT: Duration = Duration::from_secs(5);

/// Answers requests, from the state as it is then.
pub(crate) struct Endpoint {
    cluster: Rc<Cluster>,
    counters: Counters,
    stalls: Stalls,
}

/// Why a worker's metrics are not to be had.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Worker(#[from] RpcError),
    #[error("Timeout: no answer within {} s", WORKER_LIMIT.as_secs())]
    Silent,
    #[error("Failed: {0:?} is not a content type")]
    ContentType(String),
}

impl Endpoint {
    pub(crate) fn new(cluster: Rc<Cluster>, counters: Counters) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            counters,
            stalls: Stalls::new(),
        })
    }

    /// Measures what can only be measured in time. Never ends.
    pub(crate) async fn measure(&self) {
        self.stalls.watch().await;
    }

    /// `host` is the address by which whoever asks has reached us.
    pub(crate) async fn answer(&self, method: &Method, path: &str, host: &str) -> Response<String> {
        let route = Route::of(path).filter(|_| *method == Method::GET);
        match route {
            Some(Route::Scheduler) => {
                let text = Report::take(&self.cluster, &self.counters, &self.stalls).text();
                found(HeaderValue::from_static(page::CONTENT_TYPE), text)
            }
            Some(Route::Worker {
                pool,
                worker,
                source,
            }) => self.worker(&pool, &worker, &source).await,
            Some(Route::Discovery(source)) => found(
                HeaderValue::from_static("application/json"),
                discovery::targets(&self.cluster, host, &source),
            ),
            Some(Route::Alive) => plain(StatusCode::OK, "ok\n"),
            Some(Route::Ready) => self.readiness(),
            None => plain(StatusCode::BAD_REQUEST, "Error: Bad request"),
        }
    }

    fn readiness(&self) -> Response<String> {
        if self.cluster.database().is_failing {
            let why = "Error: the database cannot be written; see the scheduler's log\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        if self.cluster.is_ending() {
            let why = "Error: the scheduler is shutting down\n";
            return plain(StatusCode::SERVICE_UNAVAILABLE, why);
        }
        plain(StatusCode::OK, "ok\n")
    }

    async fn worker(&self, pool: &str, name: &str, source: &Source) -> Response<String> {
        let Some(reactor) = self.cluster.pool(pool) else {
            return plain(StatusCode::BAD_REQUEST, "Error: No such pool");
        };
        let connected = WorkerName::new(name)
            .ok()
            .and_then(|name| reactor.connected(&name));
        let Some((_, worker)) = connected else {
            return plain(StatusCode::BAD_REQUEST, "Error: Worker not connected");
        };
        match scrape(&worker, source).await {
            Ok(Some((content_type, text))) => found(content_type, text),
            Ok(None) => plain(StatusCode::NOT_FOUND, "Not found"),
            Err(error) => {
                tracing::warn!(target: "scheduler", "Error getting metrics for {pool:?}/{name:?}: {error}");
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Error: Worker metrics collection failed",
                )
            }
        }
    }
}

/// Asks a worker, over the connection that it has made. `None` if it has nothing of that name.
async fn scrape(
    worker: &Worker,
    source: &Source,
) -> Result<Option<(HeaderValue, String)>, ScrapeError> {
    let answer = async {
        match source {
            Source::Standard(source) => worker.metrics(*source).await.map(Some),
            Source::Additional(name) => worker.additional_metric(name).await,
        }
    };
    let answer = tokio::time::timeout(WORKER_LIMIT, answer).await;
    let Some(Metric { content_type, data }) = answer.map_err(|_| ScrapeError::Silent)?? else {
        return Ok(None);
    };
    match HeaderValue::from_str(&content_type) {
        Ok(content_type) => Ok(Some((content_type, data))),
        Err(_) => Err(ScrapeError::ContentType(content_type)),
    }
}

fn found(content_type: HeaderValue, text: String) -> Response<String> {
    let mut response = Response::new(text);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response
}
