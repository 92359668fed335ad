//! An attempt that an earlier process of this worker has left.

use std::path::PathBuf;
use std::rc::Rc;

use cluster_api::{HeldState, JobTimes, LogChunk, Outcome, RpcError, ServeJob};

use super::Keeper;
use super::directory::{Left, read_times};
use crate::log::{MAX_CHUNK, ReadError, read_left, times_beside};
use crate::timeline::Timeline;

/// The job of such an attempt. It has ended.
pub(super) struct RestoredJob {
    /// The path of its log, which is open only while it is read.
    log: PathBuf,
    length: u64,
    /// `None` if it was interrupted.
    outcome: Option<Outcome>,
    keeper: Keeper,
}

impl RestoredJob {
    pub(super) fn new(left: Left, keeper: Keeper) -> Self {
        let Left {
            log,
            length,
            outcome,
            attempt: _,
            at: _,
        } = left;
        Self {
            log,
            length,
            outcome,
            keeper,
        }
    }

    pub(super) fn state(&self) -> HeldState {
        let outcome = self.outcome.clone();
        outcome.map_or(HeldState::Interrupted, HeldState::Ended)
    }

    /// Returns the outcome. There is none of an attempt that was interrupted.
    fn known_outcome(&self) -> Result<Outcome, RpcError> {
        let interrupted = || RpcError::failed("the process of the worker ended while the job ran");
        self.outcome.clone().ok_or_else(interrupted)
    }
}

impl ServeJob for RestoredJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        let failed = |error: ReadError| RpcError::failed(error.to_string());
        let length = self.length;
        let start = match u64::try_from(start) {
            Ok(start) => start,
            Err(_) => length.saturating_sub(start.unsigned_abs()),
        };
        if start > length {
            return Err(failed(ReadError::BeyondEnd { start, length }));
        }
        let size = usize::try_from(length - start).unwrap_or(MAX_CHUNK);
        let bytes = match size.min(MAX_CHUNK) {
            0 => Vec::new(),
            size => {
                let read = read_left(self.log.clone(), start, size).await;
                read.map_err(|error| failed(ReadError::Disk(error)))?
            }
        };
        // `start` is inside the log, whose length is that of a file.
        let next = i64::try_from(start + bytes.len() as u64).unwrap_or(i64::MAX);
        Ok(LogChunk { bytes, next })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        self.known_outcome()?.into_result()
    }

    async fn outcome(self: Rc<Self>) -> Result<Outcome, RpcError> {
        self.known_outcome()
    }

    async fn times(self: Rc<Self>, version: u64, offset: u64) -> Result<JobTimes, RpcError> {
        // They are read for each call: there may be a thousand such attempts, and each is asked once or twice.
        let path = times_beside(&self.log);
        let kept = tokio::task::spawn_blocking(move || read_times(&path)).await;
        let kept = kept.map_err(|error| RpcError::failed(error.to_string()))?;
        Ok(Timeline::restored(kept, self.length).since(version, offset))
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    async fn forget(self: Rc<Self>) -> Result<(), RpcError> {
        self.keeper.forget();
        Ok(())
    }

    fn released(&self) {}
}
