//! A job's log as a stream, across all attempts at it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use cluster_api::RpcError;
use futures::stream::{LocalBoxStream, Stream, StreamExt as _, unfold};
use tokio::sync::watch;
use visible::OneLine;

use crate::LogReader;
use crate::job::{Progress, Stage};

/// The next thing in a job's log. Shown, it is what a person should read in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// The next bytes. They end anywhere, also inside a line or a character.
    Bytes(Vec<u8>),
    /// The worker or the connection was lost, and the job begins again: what follows is a new log, from its beginning.
    Retrying {
        /// Which attempt begins. The first, which is not announced, was 1.
        attempt: u32,
        /// How the one before was lost.
        reason: String,
    },
    /// The job has ended, but the rest of its log cannot be had, for this reason. Nothing follows.
    CutOff(String),
}

impl fmt::Display for LogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Retrying { attempt, reason } => {
                let reason = OneLine(reason);
                write!(f, "lost: {reason}; attempt {attempt} begins from nothing")
            }
            Self::CutOff(reason) => {
                write!(f, "the rest of the log cannot be had: {}", OneLine(reason))
            }
        }
    }
}

/// A job's log: a stream that ends when the job has ended and all of its log has been read.
pub struct Log(LocalBoxStream<'static, LogEvent>);

impl Log {
    pub(crate) fn new(progress: watch::Receiver<Progress>) -> Self {
        let attempt = progress.borrow().attempt;
        let tail = Tail {
            attempt,
            at: At::Beginning,
            progress,
        };
        Self(unfold(tail, next).boxed_local())
    }

    /// Waits for the next event; `None` at the end. Nothing is lost if the wait is given up.
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
    progress: watch::Receiver<Progress>,
    /// Which attempt's log is read.
    attempt: u32,
    at: At,
}

/// Where in an attempt's log a reader is.
enum At {
    /// The attempt may not have been submitted yet.
    Beginning,
    Reading(LogReader),
    /// Its end, or where it broke off with this error. Whether there is another attempt is not known yet.
    End(Option<String>),
    /// Everything has been said.
    Silence,
}

async fn next(mut tail: Tail) -> Option<(LogEvent, Tail)> {
    loop {
        let event = tail.step().await?;
        if let Some(event) = event {
            return Some((event, tail));
        }
    }
}

/// Returns the next piece of a log, or an error; `None` when something has changed meanwhile.
async fn piece(
    reader: &mut LogReader,
    stage: Stage,
    progress: &mut watch::Receiver<Progress>,
) -> Option<Result<Option<Vec<u8>>, RpcError>> {
    if stage == Stage::GoesOn {
        tokio::select! {
            piece = reader.next() => return Some(piece),
            // An error means that nobody sees the job through any more.
            changed = progress.changed() => if changed.is_ok() {
                return None;
            }
        }
    }
    reader.job_ended();
    Some(reader.next().await)
}

impl Tail {
    /// Goes one step, and returns the event that it came upon, if any. `None` is the end.
    async fn step(&mut self) -> Option<Option<LogEvent>> {
        let stage = {
            let progress = self.progress.borrow_and_update();
            if progress.attempt != self.attempt {
                self.attempt = progress.attempt;
                self.at = At::Beginning;
                return Some(Some(LogEvent::Retrying {
                    attempt: progress.attempt,
                    reason: progress.lost.clone(),
                }));
            }
            if let (At::Beginning, Some(job)) = (&self.at, &progress.job) {
                self.at = At::Reading(LogReader::new(job.clone(), LogReader::WINDOW));
            }
            progress.stage
        };
        match (&mut self.at, stage) {
            (At::Reading(reader), stage) => match piece(reader, stage, &mut self.progress).await {
                None => {}
                Some(Ok(Some(bytes))) => return Some(Some(LogEvent::Bytes(bytes))),
                Some(Ok(None)) => self.at = At::End(None),
                Some(Err(error)) => self.at = At::End(Some(error.reason)),
            },
            (At::End(Some(reason)), Stage::Built) => {
                let reason = std::mem::take(reason);
                self.at = At::Silence;
                return Some(Some(LogEvent::CutOff(reason)));
            }
            (At::Beginning | At::End(_), Stage::GoesOn) => {
                // It fails when nobody is left to change anything, which is an end too.
                self.progress.changed().await.ok()?;
            }
            (At::Beginning | At::End(_) | At::Silence, _) => return None,
        }
        Some(None)
    }
}
