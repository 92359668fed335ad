//! The logs of jobs in pages: a part of each, whatever its length.

use std::sync::Arc;

use axum::http::StatusCode;
use cluster_api::{DurableStage, JobDetails};
use serde::Deserialize;

use super::line_index;
use super::line_indexes::{LogId, Place};
use super::log_reader::PIECE;
use super::paths::encoded;
use super::reply::Refusal;
use super::site::Site;
use crate::log::{Line, Search, Start, StepMark, Terminal};
use crate::pages::{LogMark, LogOptions, LogView};

/// How much of a log a page shows, in bytes, unless all of it is not much more.
const SHOWN: u64 = 256 << 10;

/// A log of this length is shown whole.
const SHOWN_WHOLE: u64 = 512 << 10;

/// How much of the log is shown before a line that was asked for.
const BEFORE: u64 = 32 << 10;

/// How much of a log a search reads, in bytes.
const SEARCHED: u64 = 64 << 20;

/// How many lines a search finds.
const FOUND: usize = 500;

/// What of a log a page is to show.
#[derive(Default, Deserialize)]
pub(super) struct LogQuery {
    pub(super) attempt: Option<u32>,
    /// The offset of the first byte.
    pub(super) from: Option<u64>,
    /// The number of a line.
    pub(super) line: Option<u64>,
    /// The numbers of a first and a last line, as `120-130`.
    pub(super) lines: Option<String>,
    /// The offset of a line.
    pub(super) at: Option<u64>,
    /// What to search for.
    pub(super) q: Option<String>,
    pub(super) unfold: Option<u8>,
    pub(super) refresh: Option<u32>,
}

impl LogQuery {
    /// Returns whether nothing is asked for.
    pub(super) fn is_default(&self) -> bool {
        let Self {
            attempt,
            from,
            line,
            lines,
            at,
            q,
            unfold,
            refresh,
        } = self;
        attempt.is_none()
            && from.is_none()
            && line.is_none()
            && lines.is_none()
            && at.is_none()
            && q.is_none()
            && unfold.is_none()
            && refresh.is_none()
    }
}

impl LogQuery {
    /// Returns the first and the last line of a range that is asked for.
    fn marked(&self) -> Result<Option<(u64, u64)>, Refusal> {
        let Some(text) = &self.lines else {
            return Ok(None);
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first > 0 && first <= last => Ok(Some((first, last))),
            _ => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "\"lines\" is not a range of lines, such as 120-130.",
            )),
        }
    }
}

/// Returns the log of a job as its page shows it; `None` if there is none.
pub(super) async fn view(
    site: &Arc<Site>,
    details: &JobDetails,
    asked: &LogQuery,
) -> Result<Option<LogView>, Refusal> {
    let latest = details.job.summary.attempts;
    let attempt = asked.attempt.unwrap_or(latest);
    if attempt == 0 || attempt > latest {
        return Ok(None);
    }
    let log = LogId {
        job: details.job.summary.id.clone(),
        attempt,
    };
    // It may have expired.
    let Ok(end) = log.read(site, u64::MAX, 1).await else {
        return Ok(None);
    };
    let mut options = LogOptions {
        job: log.job.clone(),
        attempt,
        length: end.length,
        is_complete: end.is_complete || attempt < latest,
        has_failed: has_failed(details) && attempt == latest && asked.is_default(),
        is_unfolded: asked.unfold.is_some(),
        marked: asked.marked()?,
        ..LogOptions::default()
    };
    if let Some(query) = asked.q.as_deref().filter(|query| !query.is_empty()) {
        let found = search(site, &log, query).await?;
        return Ok(Some(LogView::found(options, query, found, &[])));
    }
    let Part { place, to } = part(site, &log, end.length, asked).await?;
    let from = place.offset;
    let (lines, rest) = lines(site, &log, place, to).await?;
    let page = |from: u64| {
        let id = encoded(&log.job);
        format!("/job/{id}?attempt={attempt}&from={from}#log")
    };
    options.from = from;
    options.to = to;
    options.earlier = (from > 0).then(|| page(from.saturating_sub(SHOWN)));
    options.later = (to < end.length).then(|| page(rest.offset));
    let is_end = to >= end.length && !options.is_complete;
    options.follow = is_end.then(|| follow_address(&log, rest));
    let phases = site.cluster.timeline(log.job.clone(), attempt).await?;
    let times = site.cluster.log_times(log.job.clone(), attempt, from..to);
    let marks: Vec<LogMark> = times.await?.iter().map(LogMark::of).collect();
    let steps: Vec<StepMark> = phases.iter().map(StepMark::of).collect();
    Ok(Some(LogView::new(options, lines, &steps, &marks)))
}

fn has_failed(details: &JobDetails) -> bool {
    use cluster_api::JobState;
    matches!(details.job.status.stage, DurableStage::Ended { .. })
        && matches!(
            details.job.summary.state,
            JobState::Failed | JobState::TimedOut | JobState::Lost
        )
}

/// Returns where the lines after those of a page come from.
fn follow_address(log: &LogId, Start { offset, line, .. }: Start) -> String {
    let id = encoded(&log.job);
    let line = line.map(|line| format!("&line={line}")).unwrap_or_default();
    format!(
        "/job/{id}/log/events?attempt={}&from={offset}{line}",
        log.attempt
    )
}

/// A part of a log.
struct Part {
    place: Place,
    to: u64,
}

/// Returns which part of a log to show.
async fn part(
    site: &Arc<Site>,
    log: &LogId,
    length: u64,
    asked: &LogQuery,
) -> Result<Part, Refusal> {
    let first = asked.marked()?.map(|(first, _)| first);
    let at = match (asked.line.or(first), asked.at) {
        (Some(line), _) => line_index::offset_of(site, log, line).await?,
        (None, at) => at,
    };
    let from = match (at, asked.from) {
        _ if length <= SHOWN_WHOLE => 0,
        (Some(at), _) => at.min(length).saturating_sub(BEFORE),
        (None, Some(from)) => from.min(length),
        (None, None) => length.saturating_sub(SHOWN),
    };
    let place = line_index::line_start(site, log, from).await?;
    let to = match length <= SHOWN_WHOLE {
        true => length,
        // Also when the line began before.
        false => from.saturating_add(SHOWN).min(length),
    };
    Ok(Part { place, to })
}

/// Returns the lines of a part of a log, and where to begin to read those after it.
async fn lines(
    site: &Site,
    log: &LogId,
    place: Place,
    to: u64,
) -> Result<(Vec<Line>, Start), Refusal> {
    let start = Start {
        offset: place.offset,
        line: place.line,
        is_line: place.is_line,
    };
    let mut terminal = Terminal::new(start);
    let mut lines = Lines::default();
    let mut at = place.offset;
    while at < to {
        let most = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
        let piece = log.read(site, at, most).await?;
        if piece.bytes.is_empty() {
            break;
        }
        at += piece.bytes.len() as u64;
        terminal.read(&piece.bytes);
        lines.add(terminal.take_changed());
        tokio::task::yield_now().await;
    }
    Ok((lines.0, terminal.resume()))
}

/// Lines in their order, of which the last ones may change.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, changed: Vec<Line>) {
        for line in changed {
            let place = self
                .0
                .binary_search_by_key(&line.offset, |known| known.offset);
            match place {
                Ok(place) => {
                    if let Some(known) = self.0.get_mut(place) {
                        *known = line;
                    }
                }
                Err(place) => self.0.insert(place, line),
            }
        }
    }
}

async fn search(
    site: &Site,
    log: &LogId,
    query: &str,
) -> Result<(Vec<crate::log::Match>, bool), Refusal> {
    let mut search = Search::new(query, FOUND);
    let mut terminal = Terminal::new(Start::BEGINNING);
    let mut at = 0;
    while at < SEARCHED {
        let piece = log.read(site, at, PIECE).await?;
        if piece.bytes.is_empty() {
            break;
        }
        at += piece.bytes.len() as u64;
        terminal.read(&piece.bytes);
        if !search.read(&mut terminal) {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (found, more) = search.finish();
    Ok((found, more || at >= SEARCHED))
}
