//! Streams of events: pages follow what happens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures::Stream;
use futures::stream;
use tokio::sync::watch;

use super::fill;
use super::quota::{Full, Place};
use super::reply::{self, Refusal, Reply};
use super::site::Site;
use super::visit::Visit;
use crate::access::Visitor;

/// How often something is sent when nothing happens, so that a lost connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often something is sent at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a stream lasts. Its browser connects again, and shows its cookie again.
pub(super) const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A stream of events, as one of those that there may be.
pub(super) struct Slot {
    site: Arc<Site>,
    _places: [Option<Place>; 2],
}

impl Slot {
    /// Takes the place of a stream for a visitor.
    pub(super) fn take(site: &Arc<Site>, visit: &Visit) -> Result<Self, Refusal> {
        let full = |Full| {
            site.stats.add_refused_stream();
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many pages are followed already, by all or from your address.",
            )
            .advice("Load the page again to see what has changed.")
        };
        let public = match visit.visitor {
            Visitor::Holder(_) => None,
            _ => {
                let public = site.public_streams.take(Some(visit.address));
                Some(public.map_err(full)?)
            }
        };
        let place = site.streams.take(Some(visit.address));
        let places = [Some(place.map_err(full)?), public];
        site.stats.add_stream();
        Ok(Self {
            site: Arc::clone(site),
            _places: places,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.site.stats.end_stream();
    }
}

/// Returns an event: a line each for its id, its name and its data.
pub(super) fn event(id: Option<&str>, name: &str, data: &str) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // Data is JSON, which has no line breaks.
    Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n"))
}

/// What is sent when nothing happens.
pub(super) fn keep_alive() -> Bytes {
    Bytes::from_static(b":\n\n")
}

/// Returns a stream of events as an answer.
pub(super) fn stream_of(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures::StreamExt as _;
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    let mut response = reply::typed(body, "text/event-stream");
    // Nginx sends each event on at once.
    let (name, value) = ("x-accel-buffering", "no");
    response.headers_mut().insert(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    response
}

/// Follows all pools.
pub(super) async fn of_all(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
) -> Reply {
    of_changes(&site, &visit, None)
}

/// Follows a pool.
pub(super) async fn of_pool(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(pool): Path<String>,
) -> Reply {
    of_changes(&site, &visit, Some(&pool))
}

fn of_changes(site: &Arc<Site>, visit: &Visit, pool: Option<&str>) -> Reply {
    fill::require(visit.visitor.may_see_pools())?;
    let changes = site.cluster.changes(pool).ok_or_else(Refusal::not_found)?;
    let slot = Slot::take(site, visit)?;
    let end = tokio::time::Instant::now() + LIFETIME;
    let events = stream::unfold(
        (slot, changes, true),
        move |(slot, changes, is_first)| async move {
            if tokio::time::Instant::now() >= end {
                return None;
            }
            match is_first {
                // Headers go out with the first bytes.
                true => Some((keep_alive(), (slot, changes, false))),
                false => {
                    let (event, changes) = next_change(changes).await?;
                    Some((event, (slot, changes, false)))
                }
            }
        },
    );
    Ok(stream_of(events))
}

async fn next_change(mut changes: watch::Receiver<u64>) -> Option<(Bytes, watch::Receiver<u64>)> {
    tokio::time::sleep(INTERVAL).await;
    match tokio::time::timeout(KEEP_ALIVE, changes.changed()).await {
        Err(_) => Some((keep_alive(), changes)),
        // The scheduler ends.
        Ok(Err(_)) => None,
        Ok(Ok(())) => {
            let version = *changes.borrow_and_update();
            let event = event(None, "changed", &version.to_string());
            Some((event, changes))
        }
    }
}

/// Follows the state of a job.
pub(super) async fn of_job(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Reply {
    let details = fill::find(&site, &visit, &id).await?;
    let id = details.job.summary.id;
    let slot = Slot::take(&site, &visit)?;
    let version = Some(details.job.status.version);
    let end = tokio::time::Instant::now() + LIFETIME;
    let state = (slot, site, id, Some(version), true);
    let events = stream::unfold(
        state,
        move |(slot, site, id, version, is_first)| async move {
            if is_first {
                return Some((keep_alive(), (slot, site, id, version, false)));
            }
            // It has ended, and that was sent.
            let seen = version?;
            if tokio::time::Instant::now() >= end {
                return None;
            }
            tokio::time::sleep(INTERVAL).await;
            let changed = site.cluster.job_changed(id.clone(), seen);
            match tokio::time::timeout(KEEP_ALIVE, changed).await {
                // How many jobs are before one that waits has no version.
                Err(_) => {
                    let event = event(None, "changed", "0");
                    Some((event, (slot, site, id, version, false)))
                }
                Ok(Err(_)) => None,
                Ok(Ok(next)) => {
                    let number = next.unwrap_or(u64::MAX);
                    let event = event(None, "changed", &number.to_string());
                    Some((event, (slot, site, id, next.map(Some), false)))
                }
            }
        },
    );
    Ok(stream_of(events))
}
