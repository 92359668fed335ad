//! Reads logs in pieces.

use super::line_indexes::LogId;
use super::reply::Refusal;
use super::site::Site;
use crate::cluster::LogPiece;

/// How much is read at once.
pub(super) const PIECE: usize = 256 << 10;

impl LogId {
    /// Reads at most so many bytes, without waiting.
    pub(super) async fn read(
        &self,
        site: &Site,
        start: u64,
        at_most: usize,
    ) -> Result<LogPiece, Refusal> {
        let (job, attempt) = (self.job.clone(), self.attempt);
        let read = site.cluster.log_piece(job, attempt, start, at_most);
        Ok(read.await?)
    }
}
