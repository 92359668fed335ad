//! When the parts of a job began and ended, and when its log was written.

mod job_times;
mod timeline;
mod wire;

use std::fmt;
use std::time::Duration;

pub use self::job_times::JobTimes;
pub use self::timeline::LogTimesPage;

/// The most phases of an attempt.
pub const MAX_PHASES: usize = 1_000;

/// The longest name of a phase, in bytes.
pub const MAX_PHASE_NAME_BYTES: usize = 256;

/// The most log times in an answer.
pub const MAX_LOG_TIMES: usize = 4_096;

/// The most log times that [`JobTimes::to_bytes`] takes.
pub const MAX_KEPT_LOG_TIMES: usize = 4 * MAX_LOG_TIMES;

/// A part of an attempt. Times count from the moment at which the attempt began on its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// What is done in it.
    pub kind: PhaseKind,
    /// The same for people, in a line. It may contain anything that a log may.
    pub name: String,
    /// The length of the log when it began: its output begins there.
    pub log_offset: u64,
    /// When it began.
    pub started: Duration,
    /// When it ended. `None`: it has not, or its worker's process ended before.
    pub ended: Option<Duration>,
    /// Whether its result was there already.
    pub cached: bool,
}

impl Phase {
    /// Returns how long it took; `None` while it has not ended, and if that was never known.
    pub fn took(&self) -> Option<Duration> {
        self.ended.map(|ended| ended.saturating_sub(self.started))
    }
}

/// What is done in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseKind {
    /// Fetching the source and checking it out.
    Source,
    /// Getting a base image.
    Image,
    /// A step of a build.
    Step,
    /// Pushing the image that was built.
    Push,
    /// The program of a custom job.
    Run,
}

/// When a part of a log was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTime {
    /// Where it begins, in bytes. It ends where the next one begins.
    pub offset: u64,
    /// When its first byte was written, since the attempt began on its worker. The others came soon after.
    pub at: Duration,
}

impl PhaseKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Source, Self::Image, Self::Step, Self::Push, Self::Run];

    /// Returns its name, for people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Image => "image",
            Self::Step => "step",
            Self::Push => "push",
            Self::Run => "run",
        }
    }

    /// Returns the kind with this name, if there is one.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
