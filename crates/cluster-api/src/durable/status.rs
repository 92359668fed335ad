//! The status of a durable job.

use std::time::Duration;

use crate::details::millis;
use crate::raw::extensions_capnp::durable_job::{loss, outcome, status};
use crate::text::{check_length, list_length, long_text, malformed, text};
use crate::{Outcome, RpcError};

/// The limit for the text about why a job waits, in bytes.
const MAX_OBSTACLE_BYTES: usize = 64 << 10;

/// The status of a durable job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableStatus {
    /// Grows with each change, and when the scheduler is restarted.
    pub version: u64,
    /// How far the job has come.
    pub stage: DurableStage,
}

/// How far a durable job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurableStage {
    /// It waits for a worker.
    Queued {
        /// How many jobs are before it.
        ahead: u32,
        /// Why no worker takes jobs; `None` when some do.
        obstacle: Option<String>,
    },
    /// A worker has it.
    Running {
        /// The number of the attempt.
        attempt: u32,
        /// The worker's name.
        worker: String,
    },
    /// Its worker has lost its connection, and may return.
    Away {
        /// The number of the attempt.
        attempt: u32,
        /// The worker's name.
        worker: String,
        /// How long the scheduler waits for it.
        remaining: Duration,
    },
    /// It has ended.
    Ended {
        /// The number of its latest attempt; 0 if there was none.
        attempt: u32,
        /// How it ended.
        outcome: DurableOutcome,
    },
}

/// How a durable job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurableOutcome {
    /// As its latest attempt did on its worker.
    Done(Outcome),
    /// Its client cancelled it.
    CancelledByClient,
    /// An operator cancelled it.
    CancelledByOperator,
    /// No client watched it any more.
    CancelledUnwatched,
    /// It waited for too long.
    QueueLimit,
    /// An attempt ran for too long.
    RunLimit,
    /// An attempt wrote nothing for too long.
    SilenceLimit,
    /// Its attempts were lost with their workers.
    Lost(Vec<LostAttempt>),
    /// No worker can run it.
    Refused {
        /// Why.
        reason: String,
    },
}

/// An attempt that was lost with its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAttempt {
    /// Its number.
    pub attempt: u32,
    /// The worker's name.
    pub worker: String,
    /// Why, for people.
    pub reason: String,
}

impl DurableStatus {
    pub(crate) fn read(reader: status::Reader<'_>) -> Result<Self, RpcError> {
        let stage = match reader.which() {
            Ok(status::Queued(queued)) => DurableStage::Queued {
                ahead: queued.get_ahead(),
                obstacle: Some(long_text(
                    queued.get_obstacle(),
                    "obstacle",
                    MAX_OBSTACLE_BYTES,
                )?)
                .filter(|obstacle| !obstacle.is_empty()),
            },
            Ok(status::Running(running)) => DurableStage::Running {
                attempt: running.get_attempt(),
                worker: text(running.get_worker(), "worker")?,
            },
            Ok(status::Away(away)) => DurableStage::Away {
                attempt: away.get_attempt(),
                worker: text(away.get_worker(), "worker")?,
                remaining: Duration::from_millis(away.get_remaining()),
            },
            Ok(status::Ended(ended)) => DurableStage::Ended {
                attempt: ended.get_attempt(),
                outcome: DurableOutcome::read(
                    ended
                        .get_outcome()
                        .map_err(|error| malformed(&error, "outcome"))?,
                )?,
            },
            Err(capnp::NotInSchema(tag)) => {
                return Err(RpcError::failed(format!("Unknown status {tag}")));
            }
        };
        Ok(Self {
            version: reader.get_version(),
            stage,
        })
    }

    pub(crate) fn write(self, mut builder: status::Builder<'_>) -> Result<(), RpcError> {
        builder.set_version(self.version);
        match self.stage {
            DurableStage::Queued { ahead, obstacle } => {
                let mut queued = builder.init_queued();
                queued.set_ahead(ahead);
                queued.set_obstacle(obstacle.as_deref().unwrap_or_default());
            }
            DurableStage::Running { attempt, worker } => {
                let mut running = builder.init_running();
                running.set_attempt(attempt);
                running.set_worker(&worker);
            }
            DurableStage::Away {
                attempt,
                worker,
                remaining,
            } => {
                let mut away = builder.init_away();
                away.set_attempt(attempt);
                away.set_worker(&worker);
                away.set_remaining(millis(remaining));
            }
            DurableStage::Ended { attempt, outcome } => {
                let mut ended = builder.init_ended();
                ended.set_attempt(attempt);
                outcome.write(ended.init_outcome())?;
            }
        }
        Ok(())
    }
}

impl DurableOutcome {
    fn read(reader: outcome::Reader<'_>) -> Result<Self, RpcError> {
        Ok(match reader.which() {
            Ok(outcome::Done(done)) => Self::Done(Outcome::read(
                done.map_err(|error| malformed(&error, "outcome.done"))?,
            )?),
            Ok(outcome::CancelledByClient(())) => Self::CancelledByClient,
            Ok(outcome::CancelledByOperator(())) => Self::CancelledByOperator,
            Ok(outcome::CancelledUnwatched(())) => Self::CancelledUnwatched,
            Ok(outcome::QueueLimit(())) => Self::QueueLimit,
            Ok(outcome::RunLimit(())) => Self::RunLimit,
            Ok(outcome::SilenceLimit(())) => Self::SilenceLimit,
            Ok(outcome::Lost(lost)) => {
                let lost = lost.map_err(|error| malformed(&error, "outcome.lost"))?;
                check_length(reader.total_size(), lost.len(), "outcome.lost")?;
                Self::Lost(
                    lost.iter()
                        .map(LostAttempt::read)
                        .collect::<Result<_, _>>()?,
                )
            }
            Ok(outcome::Refused(reason)) => Self::Refused {
                reason: text(reason, "outcome.refused")?,
            },
            Err(capnp::NotInSchema(tag)) => {
                return Err(RpcError::failed(format!("Unknown outcome {tag}")));
            }
        })
    }

    fn write(self, mut builder: outcome::Builder<'_>) -> Result<(), RpcError> {
        match self {
            Self::Done(done) => done.write(builder.init_done())?,
            Self::CancelledByClient => builder.set_cancelled_by_client(()),
            Self::CancelledByOperator => builder.set_cancelled_by_operator(()),
            Self::CancelledUnwatched => builder.set_cancelled_unwatched(()),
            Self::QueueLimit => builder.set_queue_limit(()),
            Self::RunLimit => builder.set_run_limit(()),
            Self::SilenceLimit => builder.set_silence_limit(()),
            Self::Refused { reason } => builder.set_refused(&reason),
            Self::Lost(lost) => {
                let mut list = builder.init_lost(list_length(&lost, "outcome.lost")?);
                for (index, lost) in (0..).zip(lost) {
                    lost.write(list.reborrow().get(index));
                }
            }
        }
        Ok(())
    }
}

impl LostAttempt {
    fn read(reader: loss::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            attempt: reader.get_attempt(),
            worker: text(reader.get_worker(), "lost.worker")?,
            reason: text(reader.get_reason(), "lost.reason")?,
        })
    }

    fn write(self, mut builder: loss::Builder<'_>) {
        builder.set_attempt(self.attempt);
        builder.set_worker(&self.worker);
        builder.set_reason(&self.reason);
    }
}
