//! Which line of a log is where. Lines are counted once, as far as somebody asks for them, and no further than a page
//! can wait for.

use std::sync::Arc;

use super::line_indexes::{INTERVAL, LineIndex, LogId, Place};
use super::log_reader::PIECE;
use super::reply::Refusal;
use super::site::Site;

/// How much a page may count, in bytes: it takes some milliseconds.
const BUDGET: u64 = 4 << 20;

/// How far back the beginning of a line is looked for, in bytes.
const MAX_LINE: u64 = 16 << 10;

/// Returns where the line begins that an offset is in, or a place close by.
pub(super) async fn line_start(
    site: &Arc<Site>,
    log: &LogId,
    offset: u64,
) -> Result<Place, Refusal> {
    if offset == 0 {
        return Ok(Place {
            offset: 0,
            line: Some(1),
            is_line: true,
        });
    }
    let from = offset.saturating_sub(MAX_LINE);
    let most = usize::try_from(offset - from).unwrap_or(0);
    let before = log.read(site, from, most).await?.bytes;
    let end = before.iter().rposition(|byte| *byte == b'\n');
    let (offset, is_line) = match end {
        Some(end) => (from + end as u64 + 1, true),
        None if from == 0 => (0, true),
        None => (offset, false),
    };
    let line = count(site, log, offset).await?.map(|ends| ends + 1);
    if line.is_none() {
        count_in_background(site, log, offset);
    }
    Ok(Place {
        offset,
        line,
        is_line,
    })
}

/// Returns the offset of a line; `None` if there is none, or it is too far behind what was counted.
pub(super) async fn offset_of(site: &Site, log: &LogId, line: u64) -> Result<Option<u64>, Refusal> {
    if line <= 1 {
        return Ok(Some(0));
    }
    let mut index = known(site, log);
    let (mut at, mut ends) = index.before_line(line);
    let limit = at.saturating_add(BUDGET);
    let mut found = None;
    while at < limit && found.is_none() {
        index.remember(at, ends);
        let piece = log.read(site, at, piece_at(at)).await?.bytes;
        if piece.is_empty() {
            break;
        }
        let missing = line - 1 - ends;
        let newlines = piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let mut newlines = newlines.skip(usize::try_from(missing - 1).unwrap_or(usize::MAX));
        found = newlines.next().map(|(place, _)| at + place as u64 + 1);
        ends += newline_count(&piece);
        at += piece.len() as u64;
    }
    keep(site, log, index);
    Ok(found)
}

/// Returns how many lines end before an offset; `None` if that would take too long.
async fn count(site: &Site, log: &LogId, offset: u64) -> Result<Option<u64>, Refusal> {
    let mut index = known(site, log);
    let (mut at, mut ends) = index.before(offset);
    let limit = at.saturating_add(BUDGET);
    while at < offset && at < limit {
        index.remember(at, ends);
        let most = usize::try_from(offset - at).unwrap_or(PIECE);
        let most = most.min(piece_at(at));
        let piece = log.read(site, at, most).await?.bytes;
        if piece.is_empty() {
            break;
        }
        ends += newline_count(&piece);
        at += piece.len() as u64;
    }
    index.remember(at, ends);
    keep(site, log, index);
    Ok((at >= offset).then_some(ends))
}

/// Returns how much to read at a place: not beyond the next one that is remembered.
fn piece_at(at: u64) -> usize {
    let left = INTERVAL - at % INTERVAL;
    usize::try_from(left).unwrap_or(PIECE).min(PIECE)
}

/// Counts the lines before an offset, however long that takes. One log at a time.
fn count_in_background(site: &Arc<Site>, log: &LogId, offset: u64) {
    let Ok(turn) = Arc::clone(&site.counting).try_acquire_owned() else {
        return;
    };
    let (site, log) = (Arc::clone(site), log.clone());
    tokio::spawn(async move {
        // An error means that the log has expired, or that the scheduler ends.
        while let Ok(None) = count(&site, &log, offset).await {
            tokio::task::yield_now().await;
        }
        drop(turn);
    });
}

fn newline_count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn known(site: &Site, log: &LogId) -> LineIndex {
    let indexes = site.line_indexes.lock();
    indexes.map_or_else(|_| LineIndex::default(), |indexes| indexes.get(log))
}

fn keep(site: &Site, log: &LogId, index: LineIndex) {
    if let Ok(mut indexes) = site.line_indexes.lock() {
        indexes.put(log, index);
    }
}
