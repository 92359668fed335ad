//! What the thread of a log store does.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use job_store::log_store::{LogStore, LogStoreError, StoredLog, UploadedLog};
use job_store::logs::{CachedLog, LogError, LogTime, Logs};
use jobs::AttemptId;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use visible::with_causes;

use super::Uploaded;
use super::cache::Cache;
use super::counters::Counters;
use super::queue::Queue;
use crate::clock::Clock;

/// How many logs are uploaded at the same time. Each takes up to 10 MiB of memory.
pub(super) const UPLOADS: usize = 4;

/// How many reads are made at the same time.
const READS: usize = 16;

/// How long a read may wait for its turn.
const LIMIT_TO_WAIT: Duration = Duration::from_secs(15);

/// How many logs wait for their removal at most. More are found by the next sweep.
const MAX_REMOVALS: usize = 100_000;

/// The shortest and the longest wait before a store is tried again that did not answer.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// How long to wait before a log is uploaded again whose file could not be read, or which was not whole in the store.
const RETRY_LOG_AFTER: Duration = Duration::from_secs(60);

/// What the thread of a log store has.
pub(in crate::durable) struct Work {
    store: LogStore,
    logs: Logs,
    clock: Clock,
    counters: Arc<Counters>,
    report: Box<dyn Fn(Uploaded)>,
    cache: RefCell<Cache>,
    uploads: RefCell<Queue>,
    removals: RefCell<Queue>,
    /// Wakes what uploads and what removes: there is more to do, or the store answers again.
    changed: Notify,
    reads: Semaphore,
    away: Cell<Option<Away>>,
    /// What was logged last.
    error: RefCell<String>,
}

/// A store that does not answer.
#[derive(Clone, Copy)]
struct Away {
    backoff: Duration,
    retry_at: Instant,
}

impl Work {
    pub(super) fn new(
        store: LogStore,
        logs: Logs,
        cache_bytes: u64,
        counters: Arc<Counters>,
        clock: Clock,
        report: impl Fn(Uploaded) + 'static,
    ) -> Self {
        Self {
            store,
            logs,
            clock,
            counters,
            report: Box::new(report),
            cache: RefCell::new(Cache::new(cache_bytes)),
            uploads: RefCell::default(),
            removals: RefCell::default(),
            changed: Notify::new(),
            reads: Semaphore::new(READS),
            away: Cell::new(None),
            error: RefCell::default(),
        }
    }

    pub(super) fn upload_later(&self, attempt: AttemptId) {
        let mut uploads = self.uploads.borrow_mut();
        uploads.add(attempt, self.clock.unix_now());
        self.count_waiting(&uploads);
        self.changed.notify_waiters();
    }

    pub(super) fn found_cached(&self, found: Vec<CachedLog>) {
        let mut cache = self.cache.borrow_mut();
        cache.restore(found, &self.logs, &self.counters);
    }

    pub(super) fn counted(&self, attempts: &[AttemptId]) {
        let mut cache = self.cache.borrow_mut();
        for attempt in attempts {
            // One without bytes has no file.
            if let Some(cached) = self.logs.cached_log(*attempt) {
                cache.add(cached, &self.logs, &self.counters);
            }
        }
    }

    pub(super) fn remove_later(&self, attempts: &[AttemptId]) {
        let mut removals = self.removals.borrow_mut();
        for attempt in attempts {
            self.cache.borrow_mut().remove(*attempt, &self.counters);
            if removals.len() < MAX_REMOVALS {
                removals.add(*attempt, self.clock.unix_now());
            }
        }
        self.changed.notify_waiters();
    }

    /// Uploads what waits for it. Never ends. Of several at the same time, the first finds out whether a store answers
    /// again that did not.
    pub(super) async fn upload_all(self: Rc<Self>, is_first: bool) {
        loop {
            self.until_due(is_first).await;
            let next = self.uploads.borrow_mut().take();
            match next {
                Some(attempt) => self.upload(attempt).await,
                None => self.changed.notified().await,
            }
        }
    }

    async fn upload(self: &Rc<Self>, attempt: AttemptId) {
        let started = Instant::now();
        match self.try_to_upload(attempt).await {
            Ok(log) => {
                if let Some(log) = log {
                    self.counters.uploaded(log.bytes, started.elapsed());
                    self.answered();
                }
                self.uploads.borrow_mut().done(attempt);
            }
            Err(UploadError::Store(error)) => {
                self.failed(&error);
                if error.is_of_the_store() {
                    self.uploads.borrow_mut().put_back(attempt);
                } else {
                    self.upload_again(attempt, &error);
                }
            }
            Err(UploadError::Disk(error)) => self.upload_again(attempt, &error),
        }
        self.count_waiting(&self.uploads.borrow());
    }

    /// Uploads the log of an attempt. `None` if it is not here any more, or was uploaded before.
    async fn try_to_upload(&self, attempt: AttemptId) -> Result<Option<UploadedLog>, UploadError> {
        let Some((archive, times)) = self.logs.for_upload(attempt)? else {
            if let Some(cached) = self.logs.cached_log(attempt) {
                // By a process that was killed before it had said so.
                let length = self.logs.length(attempt)?;
                let bytes = cached.bytes;
                let log = UploadedLog { bytes, length };
                (self.report)(Uploaded { attempt, log });
            }
            return Ok(None);
        };
        let log = self.store.upload(attempt, archive, times).await?;
        tracing::trace!(target: "crash-point", point = "after-upload");
        if self.logs.uploaded(attempt)? {
            tracing::trace!(target: "crash-point", point = "after-upload-noted");
            (self.report)(Uploaded { attempt, log });
        } else {
            // It was removed meanwhile, so it is to be removed there, too.
            self.remove_later(&[attempt]);
        }
        Ok(Some(log))
    }

    /// Uploads a log later that cannot be uploaded now, though the store answers.
    fn upload_again(self: &Rc<Self>, attempt: AttemptId, error: &dyn std::error::Error) {
        tracing::warn!(
            target: "scheduler",
            "Cannot upload the log of {attempt}: {}; retrying every {} s",
            with_causes(error), RETRY_LOG_AFTER.as_secs()
        );
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(RETRY_LOG_AFTER).await;
            this.uploads.borrow_mut().put_back(attempt);
            this.changed.notify_waiters();
        });
    }

    /// Removes what waits for it. Never ends.
    pub(super) async fn remove_all(self: Rc<Self>) {
        loop {
            self.until_due(true).await;
            let next = self.removals.borrow_mut().take();
            let Some(attempt) = next else {
                self.changed.notified().await;
                continue;
            };
            match self.store.remove(attempt).await {
                Ok(()) => {
                    self.answered();
                    self.removals.borrow_mut().done(attempt);
                }
                Err(error) => {
                    self.removals.borrow_mut().put_back(attempt);
                    self.failed(&error);
                }
            }
        }
    }

    /// Reads what the log of an attempt has at an offset, and how long it is.
    pub(in crate::durable) async fn read(
        self: Rc<Self>,
        attempt: AttemptId,
        offset: u64,
        at_most: usize,
    ) -> Result<(Vec<u8>, u64), LogStoreError> {
        let read = async {
            let bytes = self.store.read(attempt, offset, at_most).await?;
            Ok((bytes, self.store.length(attempt).await?))
        };
        let read = self.look(read).await?;
        self.counters.read(read.0.len() as u64);
        Ok(read)
    }

    /// Returns the times of a part of the log of an attempt.
    pub(in crate::durable) async fn times(
        self: Rc<Self>,
        attempt: AttemptId,
        part: Range<u64>,
        at_most: usize,
    ) -> Result<Vec<LogTime>, LogStoreError> {
        let read = async {
            let end = part.end.min(self.store.length(attempt).await?);
            self.store.times(attempt, part.start..end, at_most).await
        };
        self.look(read).await
    }

    /// Returns how long the log of an attempt is.
    pub(in crate::durable) async fn length(
        self: Rc<Self>,
        attempt: AttemptId,
    ) -> Result<u64, LogStoreError> {
        self.look(self.store.length(attempt)).await
    }

    /// Returns the logs in the store that follow one.
    pub(in crate::durable) async fn list(
        self: Rc<Self>,
        after: Option<AttemptId>,
        at_most: usize,
    ) -> Result<Vec<StoredLog>, LogStoreError> {
        self.look(self.store.list(after, at_most)).await
    }

    /// Looks at the store when not too many others do. One that did not answer just now is not asked: its readers need
    /// not wait to be told.
    async fn look<T>(
        &self,
        read: impl Future<Output = Result<T, LogStoreError>>,
    ) -> Result<T, LogStoreError> {
        if let Some(away) = self.away.get()
            && away.retry_at > Instant::now()
        {
            return Err(LogStoreError::Away(self.error.borrow().clone()));
        }
        let waiting = tokio::time::timeout(LIMIT_TO_WAIT, self.reads.acquire()).await;
        let _turn = waiting.map_err(|_| LogStoreError::Away("too many wait for it".to_owned()))?;
        let read = read.await;
        match &read {
            Err(error) if error.is_of_the_store() => self.failed(error),
            Err(_) => self.counters.failed(),
            Ok(_) => self.answered(),
        }
        read
    }

    /// Waits while the store does not answer: one task until it is to be tried again, others until it answers.
    async fn until_due(&self, is_first: bool) {
        while let Some(away) = self.away.get() {
            if !is_first {
                self.changed.notified().await;
                continue;
            }
            tokio::time::sleep_until(away.retry_at).await;
            let is_due = |away: Away| away.retry_at <= Instant::now();
            if self.away.get().is_none_or(is_due) {
                return;
            }
        }
    }

    /// The store has answered.
    fn answered(&self) {
        if self.away.take().is_some() {
            tracing::info!(target: "scheduler", "The log store answers again");
            self.counters.away(None);
            self.error.take();
            self.changed.notify_waiters();
        }
    }

    /// A request has failed. Each cause is logged once.
    fn failed(&self, error: &LogStoreError) {
        self.counters.failed();
        if !error.is_of_the_store() {
            return;
        }
        let before = self.away.get();
        if before.is_none() {
            self.counters.away(Some(self.clock.unix_now()));
        }
        // Several may fail at the same time.
        let is_due = before.is_none_or(|away| away.retry_at <= Instant::now());
        if is_due {
            let backoff = before.map_or(MIN_BACKOFF, |away| MAX_BACKOFF.min(away.backoff * 2));
            let retry_at = Instant::now() + backoff;
            self.away.set(Some(Away { backoff, retry_at }));
        }
        let text = error.to_string();
        if before.is_none() {
            tracing::warn!(target: "scheduler", "Cannot use the log store: {text}; logs wait on this disk");
        } else if *self.error.borrow() != text {
            tracing::debug!(target: "scheduler", "Cannot use the log store: {text}");
        }
        self.error.replace(text);
    }

    fn count_waiting(&self, uploads: &Queue) {
        self.counters.waiting(uploads.len(), uploads.oldest());
    }
}

/// Why a log was not uploaded.
enum UploadError {
    Store(LogStoreError),
    Disk(LogError),
}

impl From<LogStoreError> for UploadError {
    fn from(error: LogStoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LogError> for UploadError {
    fn from(error: LogError) -> Self {
        Self::Disk(error)
    }
}
