//! A job's log as a stream, across all attempts at it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use cluster_api::RpcError;
use futures::stream::{LocalBoxStream, Stream, StreamExt as _, unfold};
use tokio::sync::watch;
use visible::OneLine;

use crate::LogReader;
use crate::state::{JobState, Stage};

/// The next event in a job's log. Its text is what a person should read in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// The next bytes. They may end inside a line or a character.
    Bytes(Vec<u8>),
    /// The worker or the connection was lost, and the job is retried: a new log follows, from its beginning.
    Retrying {
        /// The number of the attempt that begins. The first, which is not announced, was 1.
        attempt: u32,
        /// How the attempt before was lost.
        reason: String,
    },
    /// The rest of the log cannot be read, for this reason. Nothing follows, except the next attempt at a durable job.
    CutOff(String),
}

impl fmt::Display for LogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Retrying { attempt, reason } => {
                let reason = OneLine(reason);
                write!(
                    f,
                    "lost: {reason}; attempt {attempt} starts from the beginning"
                )
            }
            Self::CutOff(reason) => {
                write!(f, "cannot read the rest of the log: {}", OneLine(reason))
            }
        }
    }
}

/// A job's log: a stream that ends when the job has ended and all of its log has been read.
pub struct Log(LocalBoxStream<'static, LogEvent>);

impl Log {
    pub(crate) fn new(state: watch::Receiver<JobState>) -> Self {
        let attempt = state.borrow().number;
        let tail = Tail {
            attempt,
            position: Position::Beginning,
            state,
        };
        Self(unfold(tail, next).boxed_local())
    }

    /// Waits for the next event; `None` at the end. It is cancel safe: nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<LogEvent> {
        self.0.next().await
    }
}

impl Stream for Log {
    type Item = LogEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<LogEvent>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log(..)")
    }
}

/// A reader of a job's log.
struct Tail {
    state: watch::Receiver<JobState>,
    /// The number of the attempt whose log is read.
    attempt: u32,
    position: Position,
}

/// A position in the log of an attempt.
enum Position {
    /// The attempt may not have been submitted yet.
    Beginning,
    Reading(LogReader),
    /// The end, or an error at which reading stopped. Another attempt may follow.
    End(Option<String>),
    /// The last event was returned.
    Done,
}

async fn next(mut tail: Tail) -> Option<(LogEvent, Tail)> {
    loop {
        let event = tail.step().await?;
        if let Some(event) = event {
            return Some((event, tail));
        }
    }
}

/// Returns the next piece of a log, or an error; `None` if the job's state has changed first.
async fn piece(
    reader: &mut LogReader,
    stage: Stage,
    state: &mut watch::Receiver<JobState>,
) -> Option<Result<Option<Vec<u8>>, RpcError>> {
    if stage == Stage::Active {
        tokio::select! {
            piece = reader.next() => return Some(piece),
            // An error means that the job's driver is gone.
            changed = state.changed() => if changed.is_ok() {
                return None;
            }
        }
    }
    reader.job_ended();
    Some(reader.next().await)
}

impl Tail {
    /// Takes one step, and returns its event, if any. `None` is the end.
    async fn step(&mut self) -> Option<Option<LogEvent>> {
        let stage = {
            let state = self.state.borrow_and_update();
            if state.number != self.attempt {
                self.attempt = state.number;
                self.position = Position::Beginning;
                return Some(Some(LogEvent::Retrying {
                    attempt: state.number,
                    reason: state.lost.clone(),
                }));
            }
            if let (Position::Beginning, Some(job)) = (&self.position, &state.job) {
                self.position = Position::Reading(LogReader::new(job.clone(), LogReader::WINDOW));
            }
            state.stage
        };
        match (&mut self.position, stage) {
            (Position::Reading(reader), stage) => match piece(reader, stage, &mut self.state).await
            {
                None => {}
                Some(Ok(Some(bytes))) => return Some(Some(LogEvent::Bytes(bytes))),
                Some(Ok(None)) => self.position = Position::End(None),
                Some(Err(error)) => self.position = Position::End(Some(error.reason)),
            },
            (Position::End(Some(reason)), Stage::RanToEnd) => {
                let reason = std::mem::take(reason);
                self.position = Position::Done;
                return Some(Some(LogEvent::CutOff(reason)));
            }
            (Position::Beginning | Position::End(_), Stage::Active) => {
                // It fails when the driver is gone, which is an end too.
                self.state.changed().await.ok()?;
            }
            (Position::Beginning | Position::End(_) | Position::Done, _) => return None,
        }
        Some(None)
    }
}
