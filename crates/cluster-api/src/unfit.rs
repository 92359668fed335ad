//! A job that did not fail by its own fault: its worker is not fit for it.
//!
//! To any peer it is a job that was lost, so that whoever submits lost jobs again does so. Peers of ours find out more by
//! the text, which is made and read here alone.

use crate::{RpcError, RpcErrorKind};

/// What the reason begins with when nothing of the job was done.
const REFUSED: &str = "worker unfit: ";

/// What the reason begins with when the job had begun.
const BROKE_OFF: &str = "worker became unfit during the job: ";

/// What a worker says of a job that it could not do, which another worker may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerUnfit<'a> {
    /// What is wrong with the worker.
    pub problem: &'a str,
    /// Whether the job had begun, so that it may be the job that made its worker unfit.
    pub had_begun: bool,
}

impl<'a> WorkerUnfit<'a> {
    /// Reads the error that a job ended with. `None` if it is another one.
    pub fn of(error: &'a RpcError) -> Option<Self> {
        if error.kind != RpcErrorKind::Disconnected {
            return None;
        }
        let of = |prefix, had_begun| {
            let problem = error.reason.strip_prefix(prefix)?;
            Some(Self { problem, had_begun })
        };
        of(REFUSED, false).or_else(|| of(BROKE_OFF, true))
    }
}

impl From<WorkerUnfit<'_>> for RpcError {
    fn from(unfit: WorkerUnfit<'_>) -> Self {
        let prefix = if unfit.had_begun { BROKE_OFF } else { REFUSED };
        Self::disconnected(format!("{prefix}{}", unfit.problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for had_begun in [false, true] {
            let unfit = WorkerUnfit {
                problem: "Docker does not answer",
                had_begun,
            };
            assert_eq!(WorkerUnfit::of(&unfit.into()), Some(unfit));
        }
        for other in [
            RpcError::disconnected("the worker is shutting down"),
            RpcError::failed("worker unfit: x"),
        ] {
            assert_eq!(WorkerUnfit::of(&other), None);
        }
    }
}
