//! Answers requests.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use pool::WorkerName;
use tokio::sync::watch;
use tokio::time::Instant;
use vat::Counters;
use visible::Shown;

use super::body::Text;
use super::route::Route;
use crate::cluster::Cluster;
use crate::db::UnixTime;
use crate::leading::LeaseState;
use crate::metrics::{LeaseReport, Report, Scrapes, Source, Stalls, standby_page, targets};

/// How long the scheduler's own page is shown again instead of being made anew. No scraper needs ten a second, and
/// making one delays other tasks.
const FRESH: Duration = Duration::from_millis(100);

/// Answers requests, from the state as it is then.
pub(crate) struct Endpoint {
    /// Set once this scheduler leads.
    leader: OnceCell<Leader>,
    /// `None` if it cannot be a standby.
    lease_state: Option<watch::Receiver<LeaseState>>,
    /// When this process started.
    started: UnixTime,
    stalls: Stalls,
    scrapes: Scrapes,
    /// The last page, and when it was made.
    last: RefCell<Option<(Instant, Bytes)>>,
}

/// What a scheduler that leads answers from.
struct Leader {
    cluster: Rc<Cluster>,
    counters: Counters,
}

impl Endpoint {
    /// Returns the endpoint of a scheduler that does not lead yet.
    pub(crate) fn new(
        lease_state: Option<watch::Receiver<LeaseState>>,
        started: UnixTime,
    ) -> Rc<Self> {
        Rc::new(Self {
            started,
            leader: OnceCell::new(),
            lease_state,
            stalls: Stalls::new(),
            scrapes: Scrapes::default(),
            last: RefCell::default(),
        })
    }

    /// This scheduler leads from now on.
    pub(crate) fn lead(&self, cluster: Rc<Cluster>, counters: Counters) {
        // An error means that it led before.
        self.leader.set(Leader { cluster, counters }).ok();
    }

    /// Measures what can only be measured in time. Never ends.
    pub(crate) async fn measure(&self) {
        self.stalls.watch().await;
    }

    /// `host` is the address of this server as the client knows it.
    pub(crate) async fn answer(&self, method: &Method, path: &str, host: &str) -> Response<Text> {
        let route = Route::of(path).filter(|_| *method == Method::GET);
        let Some(route) = route else {
            return plain(StatusCode::BAD_REQUEST, "Error: Bad request");
        };
        let Some(leader) = self.leader.get() else {
            return self.standby(&route);
        };
        let cluster = &leader.cluster;
        match route {
            Route::Scheduler => {
                let text = self.own_page(leader);
                found(
                    HeaderValue::from_static(prometheus_text::CONTENT_TYPE),
                    text,
                )
            }
            Route::Worker {
                pool,
                worker,
                source,
            } => self.worker(cluster, &pool, &worker, &source).await,
            Route::Discovery(source) => found(
                HeaderValue::from_static("application/json"),
                targets(cluster, host, &source),
            ),
            Route::Alive => plain(StatusCode::OK, "ok\n"),
            Route::Ready => readiness(cluster),
        }
    }

    /// Answers for a scheduler that does not lead.
    fn standby(&self, route: &Route) -> Response<Text> {
        match (route, &self.lease_state) {
            (Route::Alive, _) => plain(StatusCode::OK, "ok\n"),
            (Route::Scheduler, Some(lease_state)) => {
                let lease = LeaseReport::of(&lease_state.borrow());
                let text = standby_page(&lease, &self.stalls, self.started.0);
                let content_type = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
                found(content_type, text)
            }
            _ => {
                let lease_state = self
                    .lease_state
                    .as_ref()
                    .map(|lease_state| lease_state.borrow());
                let leader = lease_state
                    .as_ref()
                    .and_then(|lease_state| lease_state.leader.as_ref());
                let text = match leader {
                    Some(leader) => format!(
                        "standby: {} leads, at {}\n",
                        Shown(&leader.name),
                        Shown(&leader.address)
                    ),
                    None => "standby: no scheduler leads\n".to_owned(),
                };
                plain(StatusCode::SERVICE_UNAVAILABLE, &text)
            }
        }
    }

    fn own_page(&self, leader: &Leader) -> Bytes {
        let now = Instant::now();
        if let Some((made, text)) = &*self.last.borrow()
            && now < *made + FRESH
        {
            return text.clone();
        }
        let text = Report::take(&leader.cluster, &leader.counters, &self.stalls).text();
        let text = Bytes::from(text);
        self.last.replace(Some((now, text.clone())));
        text
    }

    async fn worker(
        &self,
        cluster: &Cluster,
        pool: &str,
        name: &str,
        source: &Source,
    ) -> Response<Text> {
        let Some(reactor) = cluster.pool(pool) else {
            return plain(StatusCode::BAD_REQUEST, "Error: No such pool");
        };
        let connected = WorkerName::new(name)
            .ok()
            .and_then(|name| reactor.connected(&name));
        let Some((id, worker)) = connected else {
            return plain(StatusCode::BAD_REQUEST, "Error: Worker not connected");
        };
        let limit = cluster.limits().metrics_bytes;
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

fn readiness(cluster: &Cluster) -> Response<Text> {
    if cluster.database().is_failing {
        let why = "Error: the database cannot be written; see the scheduler's log\n";
        return plain(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    if cluster.durable_jobs().store_stats().is_failing {
        let why = "Error: the database of jobs cannot be written; see the scheduler's log\n";
        return plain(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    if cluster.is_shutting_down() {
        let why = "Error: the scheduler is shutting down\n";
        return plain(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    plain(StatusCode::OK, "ok\n")
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
