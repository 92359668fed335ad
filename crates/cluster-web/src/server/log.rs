//! The logs of jobs in pages: a part of each, whatever its length.

use std::sync::Arc;

use axum::http::StatusCode;
use cluster_api::{DurableStage, JobDetails, LogTime, Phase};
use serde::Deserialize;

use super::line_index;
use super::line_indexes::{LogId, Place};
use super::log_reader::PIECE;
use super::paths::encoded;
use super::reply::Refusal;
use super::site::Site;
use super::threads;
use crate::log::{Line, Match, Search, Start, StepMark, Terminal};
use crate::pages::{LogMark, LogOptions, LogView};

/// How much of a log a page shows, in bytes, unless all of it is not much more.
const SHOWN: u64 = 256 << 10;

/// A log of this length is shown whole.
const SHOWN_WHOLE: u64 = SHOWN_WHOLE_PIECE as u64;

/// The same, as what is read at once.
const SHOWN_WHOLE_PIECE: usize = 512 << 10;

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

/// What a page shows of a log, before it was made of that.
pub(super) enum PreparedLog {
    /// A part of the log.
    Part {
        options: LogOptions,
        log: LogId,
        part: ReadPart,
        phases: Vec<Phase>,
        times: Vec<LogTime>,
    },
    /// What was found in it.
    Found {
        options: LogOptions,
        query: String,
        found: (Vec<Match>, bool),
    },
}

/// Reads what the page of a job shows of a log; `None` if there is none.
pub(super) async fn prepare(
    site: &Arc<Site>,
    details: &JobDetails,
    asked: &LogQuery,
) -> Result<Option<PreparedLog>, Refusal> {
    let latest = details.job.summary.attempts;
    let attempt = asked.attempt.unwrap_or(latest);
    if attempt == 0 || attempt > latest {
        return Ok(None);
    }
    let log = LogId {
        job: details.job.summary.id.clone(),
        attempt,
    };
    // All of it, if that is known to be shown, or only its length.
    let (start, most) = match is_short(details, attempt) {
        true => (0, SHOWN_WHOLE_PIECE),
        false => (u64::MAX, 1),
    };
    // It may have expired.
    let Ok(read) = log.read(site, start, most).await else {
        return Ok(None);
    };
    let length = read.length;
    let mut options = LogOptions {
        job: log.job.clone(),
        attempt,
        length,
        is_complete: read.is_complete || attempt < latest,
        has_failed: has_failed(details) && attempt == latest && asked.is_default(),
        is_unfolded: asked.unfold.is_some(),
        marked: asked.marked()?,
        ..LogOptions::default()
    };
    if let Some(query) = asked.q.as_deref().filter(|query| !query.is_empty()) {
        let found = search(site, &log, query).await?;
        return Ok(Some(PreparedLog::Found {
            options,
            query: query.to_owned(),
            found,
        }));
    }
    let part = match start == 0 && read.bytes.len() as u64 == length {
        true => ReadPart::whole(read.bytes),
        false => read_part(site, &log, part(site, &log, length, asked).await?).await?,
    };
    options.from = part.start.offset;
    options.to = part.to;
    let (phases, times) = futures::try_join!(
        site.cluster.timeline(log.job.clone(), attempt),
        site.cluster
            .log_times(log.job.clone(), attempt, options.from..options.to)
    )?;
    Ok(Some(PreparedLog::Part {
        options,
        log,
        part,
        phases,
        times,
    }))
}

impl PreparedLog {
    /// Returns what the page has of it. That may take milliseconds.
    pub(super) fn view(self) -> LogView {
        match self {
            Self::Found {
                options,
                query,
                found,
            } => LogView::found(options, &query, found, &[]),
            Self::Part {
                mut options,
                log,
                part,
                phases,
                times,
            } => {
                let LogId { job, attempt } = &log;
                let (lines, rest) = part.lines();
                let page = |from: u64| {
                    let id = encoded(job);
                    format!("/job/{id}?attempt={attempt}&from={from}#log")
                };
                let LogOptions {
                    from, to, length, ..
                } = options;
                options.earlier = (from > 0).then(|| page(from.saturating_sub(SHOWN)));
                options.later = (to < length).then(|| page(rest.offset));
                let is_end = to >= length && !options.is_complete;
                options.follow = is_end.then(|| follow_address(&log, rest));
                let marks: Vec<LogMark> = times.iter().map(LogMark::of).collect();
                let steps: Vec<StepMark> = phases.iter().map(StepMark::of).collect();
                LogView::new(options, lines, &steps, &marks)
            }
        }
    }
}

/// Returns whether the log of an attempt was short when this was known of it.
fn is_short(details: &JobDetails, attempt: u32) -> bool {
    let mut attempts = details.job.attempts.iter();
    let found = attempts.find(|known| known.number == attempt);
    found.is_some_and(|found| found.log_length <= SHOWN_WHOLE)
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

/// A part of a log that was read.
pub(super) struct ReadPart {
    start: Start,
    pieces: Vec<Vec<u8>>,
    to: u64,
}

async fn read_part(site: &Site, log: &LogId, part: Part) -> Result<ReadPart, Refusal> {
    let Part { place, to } = part;
    let mut pieces = Vec::new();
    let mut at = place.offset;
    while at < to {
        let most = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
        let piece = log.read(site, at, most).await?;
        if piece.bytes.is_empty() {
            break;
        }
        at += piece.bytes.len() as u64;
        pieces.push(piece.bytes);
    }
    let start = Start {
        offset: place.offset,
        line: place.line,
        is_line: place.is_line,
    };
    Ok(ReadPart { start, pieces, to })
}

impl ReadPart {
    fn whole(bytes: Vec<u8>) -> Self {
        Self {
            start: Start::BEGINNING,
            to: bytes.len() as u64,
            pieces: vec![bytes],
        }
    }

    /// Returns the lines, and where to begin to read those after them.
    fn lines(&self) -> (Vec<Line>, Start) {
        let mut terminal = Terminal::new(self.start);
        let mut lines = Lines::default();
        for piece in &self.pieces {
            terminal.read(piece);
            lines.add(terminal.take_changed());
        }
        (lines.0, terminal.resume())
    }
}

/// Lines in their order, of which the last ones may change.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, changed: Vec<Line>) {
        for line in changed {
            if self.0.last().is_none_or(|last| last.offset < line.offset) {
                self.0.push(line);
                continue;
            }
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

async fn search(site: &Site, log: &LogId, query: &str) -> Result<(Vec<Match>, bool), Refusal> {
    let mut search = Search::new(query, FOUND);
    let mut terminal = Terminal::new(Start::BEGINNING);
    let mut at = 0;
    while at < SEARCHED {
        let piece = log.read(site, at, PIECE).await?;
        if piece.bytes.is_empty() {
            break;
        }
        at += piece.bytes.len() as u64;
        let goes_on;
        (search, terminal, goes_on) = threads::apart(move || {
            terminal.read(&piece.bytes);
            let goes_on = search.read(&mut terminal);
            (search, terminal, goes_on)
        })
        .await?;
        if !goes_on {
            break;
        }
    }
    let (found, more) = search.finish();
    Ok((found, more || at >= SEARCHED))
}
