//! Follows the log of a job, also over a restart of the scheduler: each event has the place where the next one begins,
//! and a browser that connects again tells the place of the last one.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use futures::stream;
use serde::Deserialize;
use tokio::time::Instant;

use super::events::{LIFETIME, Slot, event, keep_alive, stream_of};
use super::fill;
use super::reply::Reply;
use super::site::Site;
use super::visit::Visit;
use crate::log::{Start, Terminal};
use crate::pages::FollowedLine;

/// How often something is sent when nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often lines are sent at most.
const INTERVAL: Duration = Duration::from_millis(250);

/// Where to begin.
#[derive(Deserialize)]
pub(super) struct Asked {
    attempt: u32,
    #[serde(default)]
    from: u64,
    line: Option<u64>,
}

/// A log that is followed.
struct Followed {
    site: Arc<Site>,
    _slot: Slot,
    job: String,
    attempt: u32,
    terminal: Terminal,
    is_new: bool,
    has_ended: bool,
    until: Instant,
}

/// Follows the log of an attempt.
pub(super) async fn follow(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Reply {
    let Asked {
        attempt,
        from,
        line,
    } = fill::query(asked)?;
    let details = fill::find(&site, &visit, &id).await?;
    let start = last_event(&headers).unwrap_or(Start {
        offset: from,
        line: line.or((from == 0).then_some(1)),
        is_line: true,
    });
    let followed = Followed {
        _slot: Slot::take(&site, &visit)?,
        site,
        job: details.job.summary.id,
        attempt,
        terminal: Terminal::new(start),
        is_new: true,
        has_ended: false,
        until: Instant::now() + LIFETIME,
    };
    let events = stream::unfold(followed, |mut followed| async move {
        let event = followed.next().await?;
        Some((event, followed))
    });
    Ok(stream_of(events))
}

/// Returns where a browser goes on that has lost its connection.
fn last_event(headers: &HeaderMap) -> Option<Start> {
    let id = headers.get("last-event-id")?.to_str().ok()?;
    let (offset, line) = id.split_once(':')?;
    Some(Start {
        offset: offset.parse().ok()?,
        line: line.parse().ok(),
        is_line: true,
    })
}

impl Followed {
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_new {
            self.is_new = false;
            return Some(keep_alive());
        }
        if self.has_ended || Instant::now() >= self.until {
            return None;
        }
        tokio::time::sleep(INTERVAL).await;
        let more =
            self.site
                .cluster
                .follow_log(self.job.clone(), self.attempt, self.terminal.offset());
        let piece = match tokio::time::timeout(KEEP_ALIVE, more).await {
            Err(_) => return Some(keep_alive()),
            // The scheduler ends, and the browser connects again; or the log is not kept any more.
            Ok(Err(_)) => return None,
            Ok(Ok(piece)) => piece,
        };
        if piece.bytes.is_empty() {
            self.has_ended = true;
            return Some(event(None, "end", "0"));
        }
        self.terminal.read(&piece.bytes);
        let lines = self.terminal.take_changed();
        let lines: Vec<FollowedLine> = lines
            .iter()
            .map(|line| FollowedLine::of(line, &[], ""))
            .collect();
        let Start { offset, line, .. } = self.terminal.resume();
        let line = line.map(|line| line.to_string()).unwrap_or_default();
        let id = format!("{offset}:{line}");
        match serde_json::to_string(&lines) {
            Ok(lines) => Some(event(Some(&id), "lines", &lines)),
            Err(error) => {
                tracing::error!(target: "web", "Cannot write lines of a log: {error}");
                None
            }
        }
    }
}
