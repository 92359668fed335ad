//! A job's log: it only grows, is addressed by offset, and any number of readers can wait for more of it.
//!
//! The log is a file, so that it can be much larger than memory. Its most recent part, the tail, is also in memory, so
//! that clients that follow a build are answered without the disk. New bytes are put into the tail at once, and a task
//! moves them to the file on a blocking thread. So a slow disk slows down only the build that writes (see
//! [`JobLog::room`]).
//!
//! New bytes pass a redactor first, so that no secret of the job reaches the file or a reader.
//!
//! The file is removed when the job and all answers from it are dropped, unless the job is an attempt that this worker
//! keeps (see `kept`).

mod file;
pub(crate) mod fuzzing;
mod output;
mod steps;
#[cfg(test)]
mod tests;
mod times;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use cluster_api::LogChunk;
use redact::Redactor;
use tokio::sync::Notify;
use tracing::Instrument as _;

pub(crate) use file::{LogDir, read_left};
use file::{LogFile, LogPlace};
use output::Output;
pub(crate) use steps::StepFormat;
use times::Times;
pub(crate) use times::{OpenPhase, times_beside};

/// The largest answer, in bytes. Upstream's programs send up to 10 KiB and accept any size.
pub(crate) const MAX_CHUNK: usize = 256 << 10;

/// How much of the log is kept in memory after it is on disk, in bytes: a few chunks, for clients that follow it.
const TAIL: usize = 1 << 20;

/// How many bytes may wait to be written to disk before writers have to wait.
const MAX_UNWRITTEN: usize = 4 << 20;

/// The size of a write to the disk, in bytes.
const WRITE_SIZE: usize = 1 << 20;

/// A log. Clones are the same log.
#[derive(Clone)]
pub struct JobLog(Rc<Inner>);

struct Inner {
    place: RefCell<LogPlace>,
    /// The size limit in bytes, without the job's last line.
    limit: u64,
    state: RefCell<State>,
    output: RefCell<Output>,
    times: Times,
    /// Notified when bytes were appended or written, and when the log was closed.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The end of the log: at least everything that is not on disk yet.
    tail: VecDeque<u8>,
    /// The offset of the first byte of `tail`.
    tail_start: u64,
    /// How many bytes are on disk: at least `tail_start`.
    written: u64,
    /// Whether the task that writes is running.
    writing: bool,
    /// Made when there is something to write.
    file: Option<Arc<LogFile>>,
    /// Why the log cannot be written. `None`: it can.
    broken: Option<String>,
    /// Whether the last line has been appended.
    closed: bool,
}

/// Why a log cannot be appended to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The log has reached its limit.
    #[error("the job's log is larger than this worker allows ({limit} bytes)")]
    Full {
        /// The limit in bytes.
        limit: u64,
    },
    /// Writing to the disk failed.
    #[error("cannot write the job's log: {0}")]
    Broken(String),
}

/// Why a log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The log is finished, and shorter than the offset.
    #[error("log offset {start} is beyond the end ({length} bytes)")]
    BeyondEnd {
        /// The offset.
        start: u64,
        /// The length of the log.
        length: u64,
    },
    /// Reading from the disk failed.
    #[error("cannot read the job's log: {0}")]
    Disk(String),
}

impl State {
    fn length(&self) -> u64 {
        self.tail_start + self.tail.len() as u64
    }

    fn unwritten(&self) -> u64 {
        self.length() - self.written
    }

    /// Copies from the tail, starting at `start`, which must be in it.
    fn copy(&self, start: u64, most: usize) -> Vec<u8> {
        let skip = usize::try_from(start - self.tail_start).unwrap_or(usize::MAX);
        let (front, back) = self.tail.as_slices();
        let front_part = front.get(skip..).unwrap_or_default();
        let front_part = &front_part[..front_part.len().min(most)];
        let back_part = back
            .get(skip.saturating_sub(front.len())..)
            .unwrap_or_default();
        let back_part = &back_part[..back_part.len().min(most - front_part.len())];
        [front_part, back_part].concat()
    }

    /// Removes the part of the tail that is on disk and not recent.
    fn trim(&mut self) {
        let old = self.tail.len().saturating_sub(TAIL) as u64;
        let forget = old.min(self.written - self.tail_start);
        self.tail.drain(..usize::try_from(forget).unwrap_or(0));
        self.tail_start += forget;
    }
}

impl JobLog {
    /// Returns an empty log with its file in `dir`.
    ///
    /// Use it on a thread with a local task set, which runs its writing task.
    pub(crate) fn new(dir: &LogDir, limit: u64) -> Self {
        Self(Rc::new(Inner {
            place: RefCell::new(LogPlace::Temporary(dir.clone())),
            limit,
            state: RefCell::default(),
            output: RefCell::new(Output::new(Redactor::default())),
            times: Times::default(),
            changed: Notify::new(),
        }))
    }

    /// Keeps the log in a file that is not removed with it. Nothing was written yet.
    pub(crate) fn keep_at(&self, path: &Path) {
        self.0.place.replace(LogPlace::Kept(path.into()));
    }

    /// Waits until all of a log that is closed is on disk.
    ///
    /// # Errors
    /// Why that is not possible.
    pub(crate) async fn sync(&self) -> Result<(), LogError> {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.state.borrow();
                if let Some(reason) = &state.broken {
                    return Err(LogError::Broken(reason.clone()));
                }
                if !state.writing {
                    break;
                }
            }
            changed.await;
        }
        let file = self.0.state.borrow().file.clone();
        match file {
            Some(file) => file.sync().await.map_err(LogError::Broken),
            None => Ok(()),
        }
    }

    /// Redacts these secrets in everything that is appended from now on.
    pub(crate) fn redact(&self, redactor: Redactor) -> Result<(), LogError> {
        self.flush()?;
        self.0.output.replace(Output::new(redactor));
        Ok(())
    }

    /// Returns a text without the job's secrets.
    pub(crate) fn redacted(&self, text: &str) -> String {
        self.0.output.borrow().redacted(text)
    }

    /// Adds to the log.
    ///
    /// Bytes beyond the limit are cut off. Await [`JobLog::room`] between large pieces. If the end could be the
    /// beginning of a secret, readers see it only when more bytes or a pause show whether it is one.
    ///
    /// # Errors
    /// When the log has reached its limit, or cannot be written.
    pub fn append(&self, bytes: &[u8]) -> Result<(), LogError> {
        let mut shown = Vec::with_capacity(bytes.len());
        let must_be_watched = self.0.output.borrow_mut().push(bytes, &mut shown);
        if must_be_watched {
            tokio::task::spawn_local(output::watch_for_pause(Rc::downgrade(&self.0)));
        }
        self.show(&shown)
    }

    /// Adds a line to the log. If the last line has no end, it is ended first.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn line(&self, text: impl std::fmt::Display) -> Result<(), LogError> {
        self.flush()?;
        let line = self.redacted(&format!("{text}\n"));
        self.show(format!("{}{line}", self.missing_line_end()).as_bytes())
    }

    /// Shows everything that was appended: no more bytes belong to it.
    pub(crate) fn flush(&self) -> Result<(), LogError> {
        let mut shown = Vec::new();
        self.0.output.borrow_mut().finish(&mut shown);
        self.show(&shown)
    }

    /// Adds bytes that readers see.
    fn show(&self, bytes: &[u8]) -> Result<(), LogError> {
        let limit = self.0.limit;
        let left = limit.saturating_sub(self.0.state.borrow().length());
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.push(&bytes[..fits])?;
        if fits < bytes.len() {
            Err(LogError::Full { limit })
        } else {
            Ok(())
        }
    }

    /// Adds the last line, which the limit does not apply to, and ends the log for its readers.
    pub(crate) fn close(&self, last_line: &str) {
        if let Err(error) = self.flush() {
            tracing::debug!("Cannot write the end of the job's output to its log: {error}");
        }
        if self.0.state.borrow().closed {
            return;
        }
        // A log that is full or broken may end in the middle of a line.
        let line = format!("{}{}\n", self.missing_line_end(), self.redacted(last_line));
        if let Err(error) = self.push(line.as_bytes()) {
            tracing::warn!("{error}");
            // Everything that is not on disk is still in the tail, so the line can be added there: readers need the
            // outcome.
            self.0.state.borrow_mut().tail.extend(line.as_bytes());
        }
        self.end_phases();
        self.0.state.borrow_mut().closed = true;
        self.0.changed.notify_waiters();
    }

    /// Returns a line end if the log does not end in one.
    fn missing_line_end(&self) -> &'static str {
        match self.0.state.borrow().tail.back() {
            None | Some(b'\n') => "",
            Some(_) => "\n",
        }
    }

    fn push(&self, bytes: &[u8]) -> Result<(), LogError> {
        let mut state = self.0.state.borrow_mut();
        if let Some(reason) = &state.broken {
            return Err(LogError::Broken(reason.clone()));
        }
        if bytes.is_empty() || state.closed {
            return Ok(());
        }
        let offset = state.length();
        state.tail.extend(bytes);
        if !state.writing {
            state.writing = true;
            // The task's log lines are about this job.
            tokio::task::spawn_local(self.clone().write_out().in_current_span());
        }
        drop(state);
        self.written(offset, bytes);
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Waits while too much of the log waits for the disk.
    pub async fn room(&self) {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.state.borrow();
                if state.unwritten() < MAX_UNWRITTEN as u64 || state.broken.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Returns the size of the log in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.0.state.borrow().length()
    }

    /// Returns the log from the offset `start` on, as far as it is in memory.
    pub(crate) fn recent(&self, start: u64) -> Vec<u8> {
        let state = self.0.state.borrow();
        state.copy(start.max(state.tail_start), usize::MAX)
    }

    /// Reads from the offset `start`, and waits until there is something to read. An empty chunk is the end.
    ///
    /// A negative `start` counts from the current end.
    pub(crate) async fn read(&self, start: i64) -> Result<LogChunk, ReadError> {
        let start = match u64::try_from(start) {
            Ok(start) => start,
            Err(_) => self.length().saturating_sub(start.unsigned_abs()),
        };
        let bytes = match self.locate(start).await? {
            Location::End => Vec::new(),
            Location::Tail => self.0.state.borrow().copy(start, MAX_CHUNK),
            Location::Disk { file, length } => {
                file.read(start, length).await.map_err(ReadError::Disk)?
            }
        };
        // Both fit into an i64: a log has a limit, and `start` is inside the log or was an i64.
        let next = i64::try_from(start + bytes.len() as u64).unwrap_or(i64::MAX);
        Ok(LogChunk { bytes, next })
    }

    /// Waits until there are bytes at `start`, and returns their location.
    async fn locate(&self, start: u64) -> Result<Location, ReadError> {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.state.borrow();
                let length = state.length();
                if start < length {
                    return Ok(state.location(start));
                }
                if state.closed {
                    let end = start == length;
                    return if end {
                        Ok(Location::End)
                    } else {
                        Err(ReadError::BeyondEnd { start, length })
                    };
                }
            }
            changed.await;
        }
    }

    /// Writes the tail to the file until all of it is written.
    async fn write_out(self) {
        let failed = loop {
            let (file, offset, bytes) = {
                let mut state = self.0.state.borrow_mut();
                if state.unwritten() == 0 {
                    state.writing = false;
                    drop(state);
                    self.0.changed.notify_waiters();
                    return;
                }
                (
                    state.file.clone(),
                    state.written,
                    state.copy(state.written, WRITE_SIZE),
                )
            };
            let file = match file {
                Some(file) => file,
                None => {
                    let place = self.0.place.borrow().clone();
                    match place.create().await {
                        Ok(file) => Arc::new(file),
                        Err(reason) => break reason,
                    }
                }
            };
            let size = bytes.len() as u64;
            let written = Arc::clone(&file).write(offset, bytes).await;
            let mut state = self.0.state.borrow_mut();
            state.file = Some(file);
            if let Err(reason) = written {
                drop(state);
                break reason;
            }
            state.written += size;
            state.trim();
            drop(state);
            self.0.changed.notify_waiters();
        };
        self.0.state.borrow_mut().broken = Some(failed);
        self.0.changed.notify_waiters();
    }
}

impl State {
    /// Returns the location of `start`, which is within the log.
    fn location(&self, start: u64) -> Location {
        match &self.file {
            Some(file) if start < self.tail_start => Location::Disk {
                file: Arc::clone(file),
                length: usize::try_from(self.tail_start - start)
                    .unwrap_or(MAX_CHUNK)
                    .min(MAX_CHUNK),
            },
            _ => Location::Tail,
        }
    }
}

/// The location of a part of a log.
enum Location {
    /// The log ends there.
    End,
    Tail,
    Disk {
        file: Arc<LogFile>,
        length: usize,
    },
}
