//! The log of a durable job, across its attempts and across connections.

use cluster_api::{AttemptResult, DurableStage, RpcError, RpcErrorKind};

use super::link::Repetition;
use super::{DurableError, DurableJob, StatusChanges};
use crate::{LogEvent, LogReader};

/// The log of a durable job: it ends when the job has ended and all of its log has been read. Nothing of it is left out
/// or returned twice when the connection is lost or the scheduler restarts.
#[derive(Debug)]
pub struct DurableLog {
    job: DurableJob,
    /// Where the next bytes are.
    attempt: u32,
    offset: u64,
    reader: Option<Reader>,
    /// For how long reading has failed since the latest piece.
    repetition: Repetition,
    changes: StatusChanges,
    /// The number of the latest attempt that is known to have begun.
    latest: u32,
    has_ended: bool,
    /// Whether the rest of this attempt cannot be read.
    is_cut_off: bool,
}

/// A reader of the present attempt, on the present connection.
#[derive(Debug)]
struct Reader {
    log: LogReader,
    /// Whether the attempt had ended when this was made: then nothing is added to its log.
    is_final: bool,
}

/// What happened next.
enum Step {
    Piece(Result<Option<Vec<u8>>, RpcError>),
    Stage(DurableStage),
}

impl DurableLog {
    pub(super) fn new(job: DurableJob, attempt: u32, offset: u64) -> Self {
        Self {
            changes: job.changes(),
            job,
            attempt: attempt.max(1),
            offset,
            reader: None,
            repetition: Repetition::new(),
            latest: 0,
            has_ended: false,
            is_cut_off: false,
        }
    }

    /// Returns where the next bytes are: the number of an attempt, and an offset. Another reader can begin there.
    pub fn position(&self) -> (u32, u64) {
        (self.attempt, self.offset)
    }

    /// Waits for the next event; `None` at the end. It is cancel safe: nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn next(&mut self) -> Result<Option<LogEvent>, DurableError> {
        loop {
            if self.is_cut_off {
                if self.latest > self.attempt {
                    return self.next_attempt().await.map(Some);
                }
                if self.has_ended {
                    return Ok(None);
                }
                let stage = self.changes.next().await?.stage;
                self.reached(&stage);
                continue;
            }
            match self.step().await? {
                Step::Stage(stage) => {
                    let known = (self.latest, self.has_ended);
                    self.reached(&stage);
                    if known != (self.latest, self.has_ended) && self.is_over() {
                        // One that waits for more would wait for too long.
                        self.reader = None;
                    }
                }
                Step::Piece(Ok(Some(bytes))) => {
                    self.repetition = Repetition::new();
                    self.offset = self.offset.saturating_add(bytes.len() as u64);
                    return Ok(Some(LogEvent::Bytes(bytes)));
                }
                Step::Piece(Ok(None)) => {
                    let was_final = self.reader.take().is_some_and(|reader| reader.is_final);
                    if was_final && self.latest > self.attempt {
                        return self.next_attempt().await.map(Some);
                    }
                    if was_final {
                        return Ok(None);
                    }
                    // It has ended, and what that means for the job is not known yet.
                    if !self.is_over() {
                        let stage = self.changes.next().await?.stage;
                        self.reached(&stage);
                    }
                }
                Step::Piece(Err(error)) if error.kind == RpcErrorKind::Disconnected => {
                    self.reader = None;
                    self.job.lost(error, &self.repetition).await?;
                }
                Step::Piece(Err(error)) => {
                    self.reader = None;
                    self.is_cut_off = true;
                    return Ok(Some(LogEvent::CutOff(error.reason)));
                }
            }
        }
    }

    /// Waits for bytes or for another status.
    async fn step(&mut self) -> Result<Step, DurableError> {
        let is_over = self.is_over();
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let job = self.job.present().await?;
                none.insert(Reader {
                    log: LogReader::of_attempt(job, self.attempt, self.offset),
                    is_final: is_over,
                })
            }
        };
        if is_over {
            return Ok(Step::Piece(reader.log.next().await));
        }
        tokio::select! {
            biased;
            piece = reader.log.next() => Ok(Step::Piece(piece)),
            status = self.changes.next() => Ok(Step::Stage(status?.stage)),
        }
    }

    /// Tells whether the attempt has ended.
    fn is_over(&self) -> bool {
        self.has_ended || self.latest > self.attempt
    }

    fn reached(&mut self, stage: &DurableStage) {
        match stage {
            DurableStage::Queued { .. } => {}
            DurableStage::Running { attempt, .. } | DurableStage::Away { attempt, .. } => {
                self.latest = self.latest.max(*attempt);
            }
            DurableStage::Ended { attempt, .. } => {
                self.latest = self.latest.max(*attempt);
                self.has_ended = true;
            }
        }
    }

    /// Goes on with the attempt after this one.
    async fn next_attempt(&mut self) -> Result<LogEvent, DurableError> {
        let reason = self.loss().await?;
        self.attempt = self.attempt.saturating_add(1);
        self.offset = 0;
        self.reader = None;
        self.is_cut_off = false;
        Ok(LogEvent::Retrying {
            attempt: self.attempt,
            reason,
        })
    }

    /// Returns how the present attempt was lost.
    async fn loss(&self) -> Result<String, DurableError> {
        let attempts = match self.job.describe().await {
            Ok(details) => details.attempts,
            // An older scheduler does not describe jobs.
            Err(DurableError::Unsupported) => Vec::new(),
            Err(error) => return Err(error),
        };
        let lost = attempts
            .into_iter()
            .find(|attempt| attempt.number == self.attempt);
        Ok(match lost.map(|lost| (lost.worker, lost.end)) {
            Some((worker, Some(end))) if end.result == AttemptResult::Lost => {
                format!("worker {worker:?}: {}", end.detail)
            }
            Some((worker, _)) => format!("worker {worker:?} did not finish it"),
            None => "its worker did not finish it".to_owned(),
        })
    }
}
