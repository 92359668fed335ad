//! Faults that tests plant, to see that the simulation finds them. Without the feature `faults` there are none.

use crate::Jobs;

/// A mistake that a change of this crate could bring in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A worker is handed an attempt before that is on disk.
    StartsUnsaved,
    /// A worker may forget an attempt before its end is on disk.
    AcknowledgesUnsaved,
    /// A worker may forget an attempt before its log is on disk.
    AcknowledgesWithoutLog,
    /// Two attempts of a job have the same number.
    ReusesNumbers,
    /// A worker that returns keeps what was given up meanwhile.
    AdoptsAnything,
    /// The end of an attempt that was given up decides the job.
    LateEndsCount,
    /// A job that lost its worker is in no queue.
    ForgetsToRequeue,
    /// A build that failed is tried again.
    RetriesFailures,
    /// A job is tried more often than was asked for.
    TriesForEver,
    /// A broken connection ends what runs.
    NoReturnTimeout,
    /// After a restart, the same key makes another job.
    ForgetsKeys,
}

impl Jobs {
    #[cfg(feature = "faults")]
    pub(crate) fn planted(&self, fault: Fault) -> bool {
        self.config.fault == Some(fault)
    }

    #[cfg(not(feature = "faults"))]
    #[expect(
        clippy::unused_self,
        reason = "with the feature, it is in the configuration"
    )]
    pub(crate) const fn planted(&self, _: Fault) -> bool {
        false
    }
}
