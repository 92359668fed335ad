//! Logs as they are.

use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use futures::stream;
use serde::Deserialize;

use super::fill;
use super::line_indexes::LogId;
use super::log_reader::PIECE;
use super::reply::{self, Refusal, Reply};
use super::site::Site;
use super::visit::Visit;

/// Which part of which log.
#[derive(Deserialize)]
pub(super) struct Asked {
    attempt: Option<u32>,
    /// The offset of the first byte.
    #[serde(default)]
    from: u64,
    /// The offset after the last byte.
    to: Option<u64>,
}

/// Sends what there is of the log of an attempt, piece by piece.
pub(super) async fn log(
    State(site): State<Arc<Site>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Reply {
    let Asked { attempt, from, to } = fill::query(asked)?;
    let details = fill::find(&site, &visit, &id).await?;
    let summary = details.job.summary;
    let attempt = attempt.unwrap_or(summary.attempts);
    if attempt == 0 || attempt > summary.attempts {
        return Err(Refusal::not_found());
    }
    let log = LogId {
        job: summary.id,
        attempt,
    };
    let length = log.read(&site, u64::MAX, 1).await?.length;
    let to = to.unwrap_or(length).min(length);
    let name = format!("inline; filename=\"{}-{attempt}.txt\"", log.job);
    let pieces = stream::unfold((site, log, from), move |(site, log, at)| async move {
        let left = usize::try_from(to.saturating_sub(at)).unwrap_or(PIECE);
        if left == 0 {
            return None;
        }
        let read = log.read(&site, at, left.min(PIECE)).await;
        let piece = match read {
            Ok(piece) if piece.bytes.is_empty() => return None,
            Ok(piece) => Ok(Bytes::from(piece.bytes)),
            Err(refusal) => Err(io::Error::other(refusal.message)),
        };
        let read = piece.as_ref().map_or(0, Bytes::len) as u64;
        let next = if read == 0 { to } else { at + read };
        Some((piece, (site, log, next)))
    });
    let mut response = reply::typed(Body::from_stream(pieces), "text/plain; charset=utf-8");
    if let Ok(name) = HeaderValue::try_from(name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
