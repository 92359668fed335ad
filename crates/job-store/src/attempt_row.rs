//! What a row of `attempts` says, in whichever store it is.

use jobs::{Attempt, AttemptEnd, JobId, Loss, SavedStage};
use pool::{Time, WorkerName};

use crate::{AttemptRecord, State, StoreError};

/// A row of `attempts`.
pub(crate) struct AttemptRow {
    pub(crate) number: u32,
    pub(crate) worker: String,
    pub(crate) survives: bool,
    pub(crate) started: Time,
    pub(crate) end: Option<(AttemptEnd, Time)>,
}

impl AttemptRow {
    /// Returns how the attempt was lost, if it was.
    pub(crate) fn loss(&self) -> Result<Option<Loss>, StoreError> {
        let Some((AttemptEnd::Lost(reason), at)) = &self.end else {
            return Ok(None);
        };
        Ok(Some(Loss {
            attempt: self.number,
            worker: self.worker_name()?,
            reason: reason.clone(),
            at: *at,
        }))
    }

    fn worker_name(&self) -> Result<WorkerName, StoreError> {
        WorkerName::new(&self.worker).map_err(|error| StoreError::Damaged(error.to_string()))
    }
}

impl From<AttemptRow> for AttemptRecord {
    fn from(row: AttemptRow) -> Self {
        Self {
            number: row.number,
            worker: row.worker,
            started: row.started,
            end: row.end,
        }
    }
}

/// Returns where a job is that has not ended: with the worker of its latest attempt, which has this number, or in a
/// queue.
pub(crate) fn stage(
    job: JobId,
    (state, since): (State, Time),
    number: u32,
    attempts: &[AttemptRow],
) -> Result<SavedStage, StoreError> {
    if state != State::Running {
        return Ok(SavedStage::Queued { since });
    }
    let latest = attempts.iter().find(|attempt| attempt.number == number);
    let latest =
        latest.ok_or_else(|| StoreError::Damaged(format!("attempt {number} of {job} is gone")))?;
    Ok(SavedStage::Assigned(Attempt {
        number,
        worker: latest.worker_name()?,
        survives: latest.survives,
        started: latest.started,
    }))
}

/// Returns the attempts that were lost, in their order.
pub(crate) fn losses(attempts: &[AttemptRow]) -> Result<Vec<Loss>, StoreError> {
    let losses = attempts.iter();
    let losses = losses.filter_map(|attempt| attempt.loss().transpose());
    losses.collect()
}
