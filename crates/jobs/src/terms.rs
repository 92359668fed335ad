//! What a submitter asks for beside the build itself.

use core::num::NonZeroU8;
use core::time::Duration;

/// How often a job is tried unless its submitter asks for another number.
pub const DEFAULT_ATTEMPTS: NonZeroU8 = NonZeroU8::new(3).unwrap();

/// How a job is to be run: how often, how long, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many attempts may be lost with their workers before the job ends as lost. A build that fails is not tried
    /// again.
    pub attempts: NonZeroU8,
    /// How long the job may wait for a worker; `None` for any time.
    pub queue_limit: Option<Duration>,
    /// How long an attempt may run; `None` for any time.
    pub run_limit: Option<Duration>,
    /// How long an attempt may write nothing to its log; `None` for any time.
    pub silence_limit: Option<Duration>,
    /// What happens when no client watches it any more.
    pub unwatched: Unwatched,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            attempts: DEFAULT_ATTEMPTS,
            queue_limit: None,
            run_limit: None,
            silence_limit: None,
            unwatched: Unwatched::GoesOn,
        }
    }
}

/// What happens to a job when the client that it runs for has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwatched {
    /// It goes on.
    GoesOn,
    /// It is cancelled, unless a client comes back in time.
    Cancelled(ReturnTimeouts),
}

/// How long a job waits for its client to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnTimeouts {
    /// After the client closed its connection: its program has ended.
    pub closed: Duration,
    /// After the client fell silent: its machine sleeps, or its network is broken.
    pub silent: Duration,
    /// After the scheduler started: all its connections were lost.
    pub restarted: Duration,
}

impl Default for ReturnTimeouts {
    /// 15 seconds, 10 minutes and 2 minutes.
    fn default() -> Self {
        Self {
            closed: Duration::from_secs(15),
            silent: Duration::from_secs(600),
            restarted: Duration::from_secs(120),
        }
    }
}

/// How a client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Its connection was closed, by its program or its kernel.
    Closed,
    /// Its connection fell silent.
    Silent,
}

impl ReturnTimeouts {
    /// Returns how long to wait for a client that left like this.
    pub fn after(&self, departure: Departure) -> Duration {
        match departure {
            Departure::Closed => self.closed,
            Departure::Silent => self.silent,
        }
    }
}
