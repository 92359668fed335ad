//! What this process has of a job that has not ended.

use std::rc::Rc;

use cluster_api::EncodedDescription;
use job_store::Details;
use jobs::Stage;
use pool::{TicketId, Time};

use super::watched::Watched;
use crate::queue_quota::QueueReservation;
use crate::reactor::Reactor;

/// A job that has not ended, or whose end is not on disk yet. There may be a hundred thousand: keep it small.
pub(super) struct Live {
    pub(super) pool: Rc<Reactor>,
    /// Goes to the store with the submission.
    pub(super) details: Option<Box<Details>>,
    /// Until the submission is on disk. A worker may be found before that.
    pub(super) description: Option<Box<EncodedDescription>>,
    /// How large its description is, in bytes.
    pub(super) description_bytes: usize,
    /// Its ticket in the pool, from when it is queued until its attempt ends.
    pub(super) ticket: Option<TicketId>,
    /// Its place in the quota, until a worker has it.
    pub(super) reservation: Option<QueueReservation>,
    /// The number of its latest attempt.
    pub(super) attempts: u32,
    /// What its watchers see.
    pub(super) shown: Watched<View>,
    /// The length of the log of its latest attempt, and whether it is complete.
    pub(super) log: Watched<LogState>,
}

/// What the watchers of a job see.
#[derive(Clone)]
pub(super) struct View {
    pub(super) version: u64,
    pub(super) stage: Stage,
    /// The number of its latest attempt.
    pub(super) attempts: u32,
}

/// How much of a log is kept.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LogState {
    pub(super) length: u64,
    pub(super) is_complete: bool,
}

impl Live {
    /// Returns a job that waits since this time, after so many attempts.
    pub(super) fn new(
        pool: Rc<Reactor>,
        description_bytes: usize,
        attempts: u32,
        since: Time,
    ) -> Self {
        Self {
            pool,
            details: None,
            description: None,
            description_bytes,
            ticket: None,
            reservation: None,
            attempts,
            shown: Watched::new(View {
                version: 0,
                stage: Stage::Queued { since },
                attempts,
            }),
            log: Watched::new(LogState {
                length: 0,
                // What an attempt of an earlier process wrote is all there will be.
                is_complete: attempts > 0,
            }),
        }
    }

    /// An attempt begins. Those who wait for more of the log of the one before get to know that there is none. Returns
    /// the number of that one, if there was one.
    pub(super) fn begins(&mut self, attempt: u32) -> Option<u32> {
        match std::mem::replace(&mut self.attempts, attempt) {
            0 => {
                // They may wait for this one's already.
                self.log.send_replace(LogState::default());
                None
            }
            before => {
                self.log.send_modify(|log| log.is_complete = true);
                self.log = Watched::new(LogState::default());
                Some(before)
            }
        }
    }
}
