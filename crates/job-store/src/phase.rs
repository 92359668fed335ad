//! The phases of attempts.

use std::time::Duration;

use jobs::AttemptId;

/// A part of an attempt. Times count from the beginning of the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseRecord {
    /// Its number in the attempt.
    pub number: u32,
    /// What is done in it, in a word.
    pub kind: String,
    /// The same for people, in a line.
    pub name: String,
    /// The length of the log when it began, in bytes.
    pub log_offset: u64,
    /// When it began.
    pub started: Duration,
    /// When it ended; `None` if that is not known.
    pub ended: Option<Duration>,
    /// Whether its result was there already.
    pub cached: bool,
}

/// Phases of an attempt that are new or have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedPhases {
    /// The attempt.
    pub attempt: AttemptId,
    /// The phases.
    pub phases: Vec<PhaseRecord>,
}
