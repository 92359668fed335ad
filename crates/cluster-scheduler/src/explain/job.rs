//! What a job itself adds to the reason why it waits.

use std::fmt;
use std::time::Duration;

use cluster_api::Explanation;
use pool::WorkerName;
use visible::CompactElapsed;

use super::limited;

/// What is known of a job that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFacts {
    /// Whether it outlives the scheduler.
    pub(crate) is_kept: bool,
    /// The attempt that it waits for, if it has lost one.
    pub(crate) retry: Option<Retry>,
    /// When its limit in the queue ends it.
    pub(crate) queue_limit: Option<Duration>,
}

/// An attempt after one that was lost.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    /// The number of lost attempts.
    pub(crate) lost: usize,
    /// How many may be lost.
    pub(crate) most: usize,
    /// The worker that was lost last.
    pub(crate) worker: WorkerName,
    /// Why it was.
    pub(crate) reason: String,
}

impl fmt::Display for JobFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(retry) = &self.retry {
            write!(f, "; {retry}")?;
        }
        if let Some(left) = self.queue_limit {
            write!(f, "; its queue limit ends it in {}", CompactElapsed(left))?;
        }
        Ok(())
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            most,
            worker,
            reason,
        } = self;
        let next = lost + 1;
        write!(
            f,
            "this is attempt {next} of {most}, as {worker} was lost ({reason})"
        )
    }
}

/// Returns the explanation of a job whose worker has lost its connection. `lost` attempts of `most` were lost before.
pub(crate) fn away(worker: &str, remaining: Duration, lost: usize, most: usize) -> Explanation {
    let then = match lost + 1 < most {
        true => format!("then attempt {} of {most} begins", lost + 2),
        false => "then the job ends as lost".to_owned(),
    };
    plain(
        "away",
        format!(
            "worker {worker} lost its connection, and has {} to return; {then}",
            CompactElapsed(remaining)
        ),
    )
}

/// Returns the explanation of a job whose pool this scheduler does not have.
pub(crate) fn unknown_pool(pool: &str) -> Explanation {
    plain(
        "no-pool",
        format!(
            "the job waits for pool {pool}, which this scheduler does not have; ask an operator to add it to --pools"
        ),
    )
}

/// Returns the explanation of a job that does not wait any more, but does not run yet.
pub(crate) fn starting() -> Explanation {
    plain(
        "starting",
        "next in line; a worker is about to take it".to_owned(),
    )
}

/// Returns an explanation without a place in a queue.
pub(crate) fn plain(kind: &str, text: String) -> Explanation {
    Explanation {
        kind: kind.to_owned(),
        text: limited(text),
        ..Explanation::default()
    }
}
