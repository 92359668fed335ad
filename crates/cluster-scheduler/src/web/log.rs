//! Logs, read without waiting.

use cluster_web::ClusterError;
use cluster_web::cluster::LogPiece;

use super::service::{WebService, refused};

impl WebService {
    /// Reads what the log of an attempt has at an offset.
    pub(super) async fn log_piece(
        &self,
        id: &str,
        attempt: u32,
        start: u64,
        at_most: usize,
    ) -> Result<LogPiece, ClusterError> {
        let job = self.find(id).await?;
        let read = self.jobs.log_so_far(job, attempt, start, at_most).await;
        let (bytes, length, is_complete) = read.map_err(refused)?;
        Ok(LogPiece {
            bytes,
            length,
            is_complete,
        })
    }
}
