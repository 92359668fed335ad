//! The attempts that a worker has kept.

use std::fmt;

use capnp::struct_list;

use crate::raw::extensions_capnp::returning_workers::held as raw;
use crate::text::{capability, long_text, malformed};
use crate::{Job, Outcome, RpcError};

/// The limit for the attempts that a worker lists when it returns.
pub const MAX_HELD_ATTEMPTS: u32 = 1000;

/// The limit for the id of a job, in bytes. Those of our schedulers have twelve.
pub(super) const MAX_ID_BYTES: usize = 64;

/// An attempt to run a durable job, by the job's id and the number of the attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptName {
    /// The id of the job.
    pub job: String,
    /// The number of the attempt.
    pub number: u32,
}

/// An attempt that a worker has kept.
#[derive(Debug)]
pub struct HeldAttempt {
    /// Which one.
    pub attempt: AttemptName,
    /// The job, with its log from the beginning.
    pub job: Job,
    /// How far it has come.
    pub state: HeldState,
}

/// How far an attempt has come that a worker has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldState {
    /// It runs, or its outcome is long: then the job has it.
    Running,
    /// It has ended.
    Ended(Outcome),
    /// The process of the worker ended while it ran.
    Interrupted,
}

impl fmt::Display for AttemptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} of {}", self.number, self.job)
    }
}

impl HeldAttempt {
    fn read(reader: raw::Reader<'_>, index: usize) -> Result<Self, RpcError> {
        let job = long_text(
            reader.get_job(),
            format_args!("held[{index}].job"),
            MAX_ID_BYTES,
        )?;
        let handle = capability(reader.get_handle(), format_args!("held[{index}].handle"))?
            .ok_or_else(|| RpcError::failed(format!("held[{index}].handle is missing")))?;
        let state = match reader.which() {
            Ok(raw::Running(())) => HeldState::Running,
            Ok(raw::Ended(outcome)) => {
                let outcome = outcome.map_err(|error| malformed(&error, "held.ended"))?;
                HeldState::Ended(Outcome::read(outcome)?)
            }
            Ok(raw::Interrupted(())) => HeldState::Interrupted,
            Err(capnp::NotInSchema(tag)) => {
                return Err(RpcError::failed(format!(
                    "Unknown state {tag} of held[{index}]"
                )));
            }
        };
        Ok(Self {
            attempt: AttemptName {
                job,
                number: reader.get_attempt(),
            },
            job: Job::from_raw(handle),
            state,
        })
    }

    fn write(self, mut builder: raw::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            attempt,
            job,
            state,
        } = self;
        builder.set_job(&attempt.job);
        builder.set_attempt(attempt.number);
        builder.set_handle(job.into_raw());
        match state {
            HeldState::Running => builder.set_running(()),
            HeldState::Ended(outcome) => outcome.write(builder.init_ended())?,
            HeldState::Interrupted => builder.set_interrupted(()),
        }
        Ok(())
    }
}

/// Reads the list, whose length fits into its message.
pub(super) fn read(
    list: struct_list::Reader<'_, raw::Owned>,
) -> Result<Vec<HeldAttempt>, RpcError> {
    let length = list.len();
    if length > MAX_HELD_ATTEMPTS {
        return Err(RpcError::failed(format!(
            "held has {length} elements, and the limit is {MAX_HELD_ATTEMPTS}"
        )));
    }
    let attempts = list.iter().enumerate();
    attempts
        .map(|(index, held)| HeldAttempt::read(held, index))
        .collect()
}

pub(super) fn write(
    mut list: struct_list::Builder<'_, raw::Owned>,
    held: Vec<HeldAttempt>,
) -> Result<(), RpcError> {
    for (index, held) in (0..).zip(held) {
        held.write(list.reborrow().get(index))?;
    }
    Ok(())
}
