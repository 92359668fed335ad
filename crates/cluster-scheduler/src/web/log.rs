//! Logs, read without waiting.

use std::ops::Range;

use cluster_api::{LogTime, LogTimesPage, Phase};
use cluster_web::ClusterError;
use cluster_web::cluster::LogPiece;
use jobs::JobId;

use super::service::{WebService, refused};

/// How many pieces of the times of a log are read for a page.
const MAX_PIECES: usize = 16;

impl WebService {
    /// Returns the phases of an attempt.
    pub(super) async fn timeline(
        &self,
        id: &str,
        attempt: u32,
    ) -> Result<Vec<Phase>, ClusterError> {
        let job = self.found(id).await?;
        self.jobs.timeline(job, attempt).await.map_err(refused)
    }

    /// Returns the times of a part of a log, as far as they are known.
    pub(super) async fn log_times(
        &self,
        id: &str,
        attempt: u32,
        part: Range<u64>,
    ) -> Result<Vec<LogTime>, ClusterError> {
        let job = self.found(id).await?;
        self.known_times(job, attempt, part).await
    }

    /// Returns the same, but waits for a few seconds for those of what was written just now.
    pub(super) async fn next_log_times(
        &self,
        id: &str,
        attempt: u32,
        part: Range<u64>,
    ) -> Result<Vec<LogTime>, ClusterError> {
        let job = self.found(id).await?;
        self.jobs.wait_for_times(job, attempt, part.end).await;
        self.known_times(job, attempt, part).await
    }

    async fn known_times(
        &self,
        job: JobId,
        attempt: u32,
        mut part: Range<u64>,
    ) -> Result<Vec<LogTime>, ClusterError> {
        let mut times = Vec::new();
        for _ in 0..MAX_PIECES {
            let page = self.jobs.known_log_times(job, attempt, part.clone());
            let LogTimesPage { times: more, next } = page.await.map_err(refused)?;
            times.extend(more);
            match next {
                Some(next) if next > part.start => part.start = next,
                _ => break,
            }
        }
        Ok(times)
    }

    /// Reads what the log of an attempt has at an offset.
    pub(super) async fn log_piece(
        &self,
        id: &str,
        attempt: u32,
        start: u64,
        at_most: usize,
    ) -> Result<LogPiece, ClusterError> {
        let job = self.found(id).await?;
        let read = self.jobs.log_so_far(job, attempt, start, at_most).await;
        let (bytes, length, is_complete) = read.map_err(refused)?;
        Ok(LogPiece {
            bytes,
            length,
            is_complete,
        })
    }
}
