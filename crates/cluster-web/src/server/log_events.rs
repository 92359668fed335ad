//! Follows the log of a job, also over a restart of the scheduler: each event has the place where the next one begins,
//! and a browser that connects again tells the place of the last one.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use cluster_api::{DurableLogChunk, LogTime};
use futures::future::OptionFuture;
use futures::stream;
use serde::Deserialize;
use tokio::time::Instant;

use super::events::{LIFETIME, Slot, event, keep_alive, stream_of};
use super::fill;
use super::reply::Reply;
use super::site::Site;
use super::visit::Visit;
use crate::ClusterError;
use crate::cluster::Answer;
use crate::log::{Start, Terminal};
use crate::pages::{FollowedLine, FollowedTime, LogMark};

/// How often something is sent when nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often lines are sent at most.
const INTERVAL: Duration = Duration::from_millis(250);

/// How many lines may wait for their times. What comes meanwhile is shown without.
const MAX_UNTIMED: usize = 5_000;

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
    /// The lines that were sent without their times, in the order in which they were.
    untimed: Vec<Untimed>,
    /// Where the lines end whose times are being waited for, and the times.
    times: Option<(u64, Answer<Vec<LogTime>>)>,
    is_new: bool,
    /// The log has ended, and this was not sent yet.
    is_over: bool,
    has_ended: bool,
    until: Instant,
}

/// A line that was sent before it was known when it was written.
struct Untimed {
    offset: u64,
    id: String,
}

/// What happens next while a log is followed.
enum Next {
    Times(Result<Vec<LogTime>, ClusterError>),
    Piece(Result<DurableLogChunk, ClusterError>),
    Nothing,
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
        untimed: Vec::new(),
        times: None,
        is_new: true,
        is_over: false,
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
        if self.is_over && self.untimed.is_empty() {
            self.has_ended = true;
            return Some(event(None, "end", "0"));
        }
        tokio::time::sleep(INTERVAL).await;
        match self.wait().await {
            Next::Nothing => Some(keep_alive()),
            // The scheduler ends, and the browser connects again; or the log is not kept any more.
            Next::Piece(Err(_)) => None,
            Next::Piece(Ok(piece)) if piece.bytes.is_empty() => {
                self.is_over = true;
                Some(keep_alive())
            }
            Next::Piece(Ok(piece)) => self.lines(&piece.bytes),
            Next::Times(times) => Some(self.line_times(times)),
        }
    }

    /// Waits for more of the log, or for the times of lines that were sent without.
    async fn wait(&mut self) -> Next {
        let cluster = &self.site.cluster;
        if let (None, Some(first)) = (&self.times, self.untimed.first()) {
            let end = self.terminal.offset();
            let part = first.offset..end;
            let times = cluster.next_log_times(self.job.clone(), self.attempt, part);
            self.times = Some((end, times));
        }
        let offset = self.terminal.offset();
        let more =
            (!self.is_over).then(|| cluster.follow_log(self.job.clone(), self.attempt, offset));
        let more = OptionFuture::from(more);
        let times = OptionFuture::from(self.times.as_mut().map(|(_, times)| times));
        let next = async {
            tokio::select! {
                Some(times) = times => Next::Times(times),
                Some(piece) = more => Next::Piece(piece),
                else => Next::Nothing,
            }
        };
        let next = tokio::time::timeout(KEEP_ALIVE, next).await;
        next.unwrap_or(Next::Nothing)
    }

    /// Returns the event with the times of lines that were sent without. Those that are not known now never will be.
    fn line_times(&mut self, times: Result<Vec<LogTime>, ClusterError>) -> Bytes {
        let end = self.times.take().map_or(0, |(end, _)| end);
        let marks: Vec<LogMark> = times.iter().flatten().map(LogMark::of).collect();
        let due = self.untimed.extract_if(.., |line| line.offset < end);
        let times = due.filter_map(|Untimed { offset, id }| {
            let mark = LogMark::at(&marks, offset)?;
            Some(FollowedTime::of(id, mark))
        });
        let times: Vec<FollowedTime> = times.collect();
        match serde_json::to_string(&times) {
            Ok(text) if !times.is_empty() => event(None, "times", &text),
            Ok(_) => keep_alive(),
            Err(error) => {
                tracing::error!(target: "web", "Cannot write the times of a log: {error}");
                keep_alive()
            }
        }
    }

    /// Returns the event with the lines that are new or have changed.
    fn lines(&mut self, bytes: &[u8]) -> Option<Bytes> {
        self.terminal.read(bytes);
        let changed = self.terminal.take_changed();
        let lines: Vec<FollowedLine> = changed
            .iter()
            .map(|line| FollowedLine::of(line, &[], ""))
            .collect();
        if self.untimed.len() < MAX_UNTIMED {
            // A line of which there is nothing yet has no time, and is sent again.
            let end = self.terminal.offset();
            let sent = changed.iter().zip(&lines);
            let sent = sent.filter(|(line, _)| line.offset < end);
            self.untimed.extend(sent.map(|(line, sent)| Untimed {
                offset: line.offset,
                id: sent.id.clone(),
            }));
            self.untimed.sort_by_key(|line| line.offset);
            self.untimed.dedup_by_key(|line| line.offset);
        }
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
