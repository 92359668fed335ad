//! Asks workers for their metrics, on behalf of scrapers, which are not authenticated.
//!
//! All scrapers that ask for a page while it is on its way share it: however many ask, a worker is asked once at a
//! time, and four times a second at most.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Metric, RpcError, Worker};
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, WeakShared};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use pool::WorkerId;
use tokio::time::Instant;
use visible::Shown;

use super::content_type;
use super::source::Source;

/// How long a worker may take to answer. Scrapers give up after ten seconds, unless told otherwise.
const WORKER_LIMIT: Duration = Duration::from_secs(5);

/// How often a worker is asked for one page at most. Scrapers ask every few seconds, and each page delays the
/// scheduler's other tasks.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// How often it is logged at most that a worker gives no metrics.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A worker's registration, with the name of its pool.
pub(crate) type Key = (String, WorkerId);

/// A worker's page.
#[derive(Debug)]
pub(crate) struct WorkerPage {
    pub(crate) content_type: HeaderValue,
    pub(crate) text: Bytes,
}

/// Why a worker's metrics are not available.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrapeError {
    #[error(transparent)]
    Worker(#[from] RpcError),
    #[error("Timeout: no answer within {} s", WORKER_LIMIT.as_secs())]
    Timeout,
    #[error("the page has {bytes} bytes, and the limit is {limit} (--max-metrics-size)")]
    TooLarge { bytes: usize, limit: usize },
}

impl ScrapeError {
    /// Returns it as one line for the log: the text may come from the worker, of any length.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Worker(RpcError { kind, reason }) => format!("{kind}: {}", Shown(reason)),
            Self::Timeout | Self::TooLarge { .. } => self.to_string(),
        }
    }
}

/// The worker's page, or `None` if it has nothing of that name.
type Answer = Result<Option<Rc<WorkerPage>>, Rc<ScrapeError>>;

/// An answer that is shared by all scrapers that wait for it. It exists for as long as one does.
type Running = WeakShared<LocalBoxFuture<'static, Answer>>;

/// The pages that are on their way.
#[derive(Default)]
pub(crate) struct Scrapes {
    running: RefCell<HashMap<(Key, Source), Running>>,
    /// When each page was last asked for; only of pages that may not be asked for again yet.
    last_asked: RefCell<HashMap<(Key, Source), Instant>>,
    /// When a failure was last logged; only of registrations that failed within [`WARN_EVERY`].
    warned: RefCell<HashMap<Key, Instant>>,
}

impl Scrapes {
    /// Asks a worker, over the connection that it has made, for a page of at most `limit` bytes.
    pub(crate) async fn scrape(
        &self,
        key: Key,
        worker: &Worker,
        source: &Source,
        limit: usize,
    ) -> Answer {
        let key = (key, source.clone());
        let running = self.running.borrow().get(&key).map(WeakShared::upgrade);
        let answer = running.flatten().unwrap_or_else(|| {
            let earliest = self.earliest_scrape(&key);
            let answer = ask(worker.clone(), source.clone(), limit, earliest);
            let answer = answer.boxed_local().shared();
            let mut running = self.running.borrow_mut();
            running.retain(|_, answer| answer.upgrade().is_some());
            running.extend(answer.downgrade().map(|answer| (key, answer)));
            answer
        });
        answer.await
    }

    /// Returns when a page may be asked for again. The caller must ask for it then.
    fn earliest_scrape(&self, key: &(Key, Source)) -> Instant {
        let now = Instant::now();
        let mut asked = self.last_asked.borrow_mut();
        asked.retain(|_, last| now < *last + ASK_EVERY);
        let earliest = asked.get(key).map_or(now, |last| *last + ASK_EVERY);
        asked.insert(key.clone(), earliest);
        earliest
    }

    /// Returns whether a failure of this worker is to be logged: none was within [`WARN_EVERY`].
    pub(crate) fn should_warn(&self, key: Key) -> bool {
        let now = Instant::now();
        let mut warned = self.warned.borrow_mut();
        warned.retain(|_, last| now < *last + WARN_EVERY);
        if warned.contains_key(&key) {
            return false;
        }
        warned.insert(key, now);
        true
    }
}

async fn ask(worker: Worker, source: Source, limit: usize, earliest: Instant) -> Answer {
    tokio::time::sleep_until(earliest).await;
    let answer = async {
        match source {
            Source::Standard(source) => worker.metrics(source).await.map(Some),
            Source::Additional(name) => worker.additional_metric(&name).await,
        }
    };
    let answer = tokio::time::timeout(WORKER_LIMIT, answer).await;
    let answer = answer.map_err(|_| ScrapeError::Timeout)?;
    let Some(Metric { content_type, data }) = answer.map_err(ScrapeError::from)? else {
        return Ok(None);
    };
    let bytes = data.len();
    if bytes > limit {
        return Err(Rc::new(ScrapeError::TooLarge { bytes, limit }));
    }
    Ok(Some(Rc::new(WorkerPage {
        content_type: content_type::of_page(&content_type),
        text: data.into(),
    })))
}
