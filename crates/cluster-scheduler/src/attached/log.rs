//! How the logs of attached jobs are kept.
//!
//! The worker learns that nobody wants a job any more from its release, so the scheduler may hold no reference while
//! the job runs. Each piece of the log is asked for through a weak one, which is a strong one only while the call is
//! made; what is awaited is the answer, and that holds nothing. When the job has ended, there is nothing to cancel any
//! more: from then on it is held until its log was read, as clients release a job at once when they have the result.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::job::LogTurn;
use super::{AttachedJob, AttachedJobs};

/// How long to wait between the beginnings of two logs. Each costs the worker, the network and the disk; more jobs than
/// a hundred a second are no builds.
pub(crate) const LOG_INTERVAL: Duration = Duration::from_millis(10);

/// How many bytes of all logs are read in a second, so that clients lose little of what a connection can carry.
const BYTES_PER_SECOND: u64 = 16 << 20;

/// After a large piece, a pause of so many times the time that it took leaves a slow line to the client.
const PAUSE_FACTOR: u32 = 4;

/// From this size on, in bytes, a piece is large: what took its time was the line, and not the job.
const LARGE_PIECE: usize = 64 << 10;

/// The longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// How many jobs may wait for their turn.
pub(super) const MAX_WAITING: usize = 10_000;

/// How many of these may have ended. Their workers keep their logs for that time.
const MAX_HELD: usize = 1_000;

/// How long a log is read at most after its job has ended. Its worker keeps it for that time.
pub(crate) const MAX_TIME_AFTER_END: Duration = Duration::from_secs(60);

/// The jobs whose logs are to be read.
#[derive(Default)]
pub(super) struct LogQueue {
    jobs: RefCell<VecDeque<Rc<AttachedJob>>>,
    /// There is one more.
    added: Notify,
    /// How many of them have ended, and are held.
    held: Cell<usize>,
    /// When the next piece of a log may be read.
    next_piece: Cell<Option<Instant>>,
}

#[cfg(test)]
impl LogQueue {
    /// Returns the job whose turn is next.
    pub(super) fn first(&self) -> Option<Rc<AttachedJob>> {
        self.jobs.borrow().front().cloned()
    }
}

impl AttachedJobs {
    /// A worker has taken a job. Its log is read when it is its turn.
    pub(super) fn keep_log(&self, job: &Rc<AttachedJob>) {
        let mut jobs = self.logs.jobs.borrow_mut();
        if jobs.len() >= MAX_WAITING {
            self.leave_out(|left_out| left_out.logs += 1);
            return;
        }
        job.log_turn.set(LogTurn::Waiting);
        jobs.push_back(Rc::clone(job));
        self.logs.added.notify_one();
    }

    /// A job has ended. If its log is not read yet, it is held for that.
    pub(super) fn hold_log(&self, job: &AttachedJob) {
        if job.log().1 {
            job.release();
            return;
        }
        let held = job.job();
        match (job.log_turn.get(), held) {
            // Its task notices if it cannot go on.
            (LogTurn::Begun, None) => {}
            (LogTurn::Begun, Some(held)) => job.hold(held),
            (LogTurn::Waiting, Some(held)) if self.logs.held.get() < MAX_HELD => {
                self.logs.held.set(self.logs.held.get() + 1);
                job.hold(held);
            }
            (turn, _) => {
                if turn == LogTurn::Waiting {
                    self.leave_out(|left_out| left_out.logs += 1);
                }
                job.log_completed();
            }
        }
    }

    /// Waits until another log is to be read.
    pub(crate) async fn until_log(&self) {
        self.logs.added.notified().await;
    }

    /// Returns the next job whose log can be read.
    pub(crate) fn next_log(&self) -> Option<Rc<AttachedJob>> {
        loop {
            let job = self.logs.jobs.borrow_mut().pop_front()?;
            if job.log().1 {
                continue;
            }
            if job.has_ended() {
                self.logs.held.set(self.logs.held.get().saturating_sub(1));
            }
            job.log_turn.set(LogTurn::Begun);
            return Some(job);
        }
    }

    /// Waits until more may be read of a log of which a piece of so many bytes took this time.
    pub(crate) async fn pace(&self, bytes: usize, took: Duration) {
        let now = Instant::now();
        let next = self.logs.next_piece.get().map_or(now, |next| next.max(now));
        let micros = (bytes as u64).saturating_mul(1_000_000) / BYTES_PER_SECOND;
        let next = next + Duration::from_micros(micros);
        self.logs.next_piece.set(Some(next));
        let pause = match bytes {
            ..LARGE_PIECE => Duration::ZERO,
            _ => took.saturating_mul(PAUSE_FACTOR).min(MAX_PAUSE),
        };
        tokio::time::sleep_until(next.max(now + pause)).await;
    }
}
