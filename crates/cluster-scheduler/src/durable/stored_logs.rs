//! Logs that are in a log store: what is read of them when they are not on this disk, and what becomes of them.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Job, RpcError};
use job_store::log_store::{LogStoreError, StoredLog, UploadedLog};
use job_store::logs::{LogError, LogTime};
use job_store::{Entry, KeptLog, LogStatus, Reader as _};
use jobs::AttemptId;
use visible::Elapsed;

use super::live::LogState;
use super::log_store::{LogStoreThread, Uploaded};
use super::returning::forget;
use super::state::HeldJob;
use super::times::Growth;
use super::watched::Watched;
use super::{DurableJobs, ending};

/// How many logs in the store are looked at together.
const PAGE: usize = 1_000;

/// How many pages are looked at in an hour.
const PAGES: usize = 10;

/// How old a log in the store is before it is removed because there is no such job: one that was uploaded just now may
/// not be saved yet.
const MIN_AGE: Duration = Duration::from_secs(3600);

/// What a log in the store is, as the database has it.
enum Finding {
    /// Its job is kept, and it is counted.
    Kept,
    /// Its job is kept, and it is not counted: the scheduler that has uploaded it was killed.
    Uncounted,
    /// It had expired, or its job was removed.
    Orphan,
}

impl DurableJobs {
    /// Uploads a log that is compressed, or counts it if there is no log store.
    pub(super) fn log_is_compressed(&self, attempt: AttemptId, bytes: u64, length: u64) {
        match &self.log_store {
            Some(store) => store.upload(attempt),
            None => {
                self.log_is_whole(attempt, bytes, length);
            }
        }
    }

    /// A log is in the store. Those are told who wait for that, when it is on disk that it is.
    pub(super) fn log_is_uploaded(&self, uploaded: Uploaded) {
        let Uploaded { attempt, log } = uploaded;
        if let Some(entry) = self.log_is_whole(attempt, log.bytes, log.length) {
            self.uploads.borrow_mut().uploaded(attempt, entry);
        }
    }

    /// The entries up to this number are on disk. What is counted now can be removed from this disk.
    pub(super) fn uploads_saved(&self, up_to: u64) {
        let counted = self.uploads.borrow_mut().saved(up_to);
        if let (Some(store), false) = (&self.log_store, counted.is_empty()) {
            store.counted(counted);
        }
    }

    /// Returns the log store, if workers keep logs until they are in it.
    pub(super) fn acknowledging_store(&self) -> Option<&LogStoreThread> {
        let store = self.log_store.as_ref();
        store.filter(|store| store.acknowledges_uploads())
    }

    /// Waits until the log of an attempt, which is complete, is in the store, and the database says so. Returns whether
    /// that is so: it may not be when the scheduler ends.
    pub(super) async fn until_uploaded(&self, attempt: AttemptId) -> bool {
        let is_uploaded = self.uploads.borrow_mut().wait(attempt);
        let known = self.store.run(move |kept| {
            // In this order: a log leaves this disk only after it was counted.
            let is_missing = matches!(kept.logs.length(attempt), Err(LogError::Missing(_)));
            let status = kept.reader.log_status(attempt);
            let is_counted = status.is_ok_and(|status| status != LogStatus::Uncounted);
            (is_counted, is_missing)
        });
        match known.await {
            // The scheduler ends.
            None => return false,
            Some((true, _)) => self.uploads.borrow_mut().is_counted(attempt),
            // It never had a file that could be uploaded. That it is whole is said all the same.
            Some((false, true)) if self.uploads.borrow().is_awaited(attempt) => {
                let log = UploadedLog {
                    bytes: 0,
                    length: 0,
                };
                self.log_is_uploaded(Uploaded { attempt, log });
            }
            Some((false, _)) => {}
        }
        is_uploaded.await.is_ok()
    }

    /// Reads what the log of an attempt has at an offset that is not on this disk, and returns how long it is.
    pub(super) async fn read_stored(
        &self,
        attempt: AttemptId,
        start: u64,
        at_most: usize,
    ) -> Result<(Vec<u8>, u64), RpcError> {
        let (status, has_begun, has_worker) = self
            .read(move |reader| {
                let status = reader.log_status(attempt)?;
                let record = reader.record(attempt.job)?;
                let is_durable = record.as_ref().is_some_and(|record| !record.attached);
                let numbers = record.into_iter().flat_map(|record| record.attempts);
                let has_begun = { numbers }.any(|found| found.number == attempt.number);
                Ok((status, has_begun, has_begun && is_durable))
            })
            .await?;
        if status == LogStatus::Uncounted && !has_begun {
            return Ok((Vec::new(), 0));
        }
        if status == LogStatus::Removed {
            return Err(RpcError::failed(format!(
                "the log of {attempt} is not kept any more; see the scheduler's --keep-logs and --max-logs-size"
            )));
        }
        if status == LogStatus::Counted && self.is_empty(attempt).await? {
            return Ok((Vec::new(), 0));
        }
        let Some(store) = &self.log_store else {
            // Nothing was written, or it was in a log store.
            return match status {
                LogStatus::Counted => Err(RpcError::failed(format!(
                    "the log of {attempt} is not on the scheduler's disk; if it is in a log store, the scheduler needs \
                     its --log-store again"
                ))),
                LogStatus::Uncounted | LogStatus::Removed => Ok((Vec::new(), 0)),
            };
        };
        let read = store.run(move |work| work.read(attempt, start, at_most));
        match read.await.ok_or_else(ending)? {
            // The scheduler that had it was lost, and the worker has not returned with it yet.
            Err(LogStoreError::Missing(_))
                if status == LogStatus::Uncounted && has_worker && store.acknowledges_uploads() =>
            {
                Err(with_its_worker(attempt))
            }
            Err(LogStoreError::Missing(_)) if status == LogStatus::Uncounted => Ok((Vec::new(), 0)),
            read => read.map_err(|error| self.unreadable(attempt, &error)),
        }
    }

    /// Tells whether a log is known to have no bytes, and so no file.
    async fn is_empty(&self, attempt: AttemptId) -> Result<bool, RpcError> {
        let length = self.read(move |reader| reader.log_length(attempt)).await?;
        Ok(length == Some(0))
    }

    /// Returns the times of a part of a log that is not on this disk.
    pub(super) async fn stored_times(
        &self,
        attempt: AttemptId,
        part: Range<u64>,
        at_most: usize,
    ) -> Result<Vec<LogTime>, RpcError> {
        let status = self.read(move |reader| reader.log_status(attempt)).await?;
        match &self.log_store {
            Some(store) if status == LogStatus::Counted => {
                let times = store.run(move |work| work.times(attempt, part, at_most));
                let times = times.await.ok_or_else(ending)?;
                times.map_err(|error| self.unreadable(attempt, &error))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Returns what clients are told. The cause may name hosts and buckets, so only the scheduler's log has it.
    fn unreadable(&self, attempt: AttemptId, error: &LogStoreError) -> RpcError {
        let text = match error {
            LogStoreError::Missing(_) => format!(
                "the log of {attempt} is not in the log store: it was removed there, or the scheduler that has it has \
                 not uploaded it yet"
            ),
            LogStoreError::Damaged { .. } => error.to_string(),
            LogStoreError::Away(_)
            | LogStoreError::Refused(_)
            | LogStoreError::Unusable(_)
            | LogStoreError::File { .. } => {
                let since = self
                    .log_store
                    .as_ref()
                    .and_then(|store| store.stats().away_since);
                let for_how_long = since.map_or_else(String::new, |since| {
                    let seconds = self.clock.unix_now().secs_after(since).max(0.0);
                    format!(" for {}", Elapsed(Duration::from_secs_f64(seconds)))
                });
                format!(
                    "the log of {attempt} is in the log store, which has not answered{for_how_long}; try again later"
                )
            }
        };
        RpcError::failed(text)
    }

    /// A worker has returned with an attempt whose job goes on without it. If its log is not in the store, as the
    /// scheduler that had it was lost, it is copied before the worker may forget it.
    pub(super) async fn forget_returned(self: Rc<Self>, held: HeldJob) {
        let HeldJob {
            attempt,
            job,
            is_running,
            ..
        } = held;
        if !is_running && self.acknowledging_store().is_some() {
            let is_wanted = self.read(move |reader| {
                let status = reader.log_status(attempt)?;
                Ok(status == LogStatus::Uncounted && reader.is_kept(attempt.job)?)
            });
            match is_wanted.await {
                Ok(false) => {}
                Ok(true) => {
                    if !self.copy_returned_log(attempt, &job).await {
                        // Its worker lists it again when it returns.
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!(target: "scheduler", "Cannot look up the log of {attempt}: {error}");
                    return;
                }
            }
        }
        forget(job);
    }

    /// Copies the log of an attempt that has ended into the store. Returns whether it is there.
    async fn copy_returned_log(&self, attempt: AttemptId, job: &Job) -> bool {
        tracing::info!(
            target: "scheduler",
            "Copying the log of {attempt}, which is not in the log store, from its worker"
        );
        // Those who read it meanwhile wait for the rest.
        let was_partial = self.partial_logs.borrow_mut().remove(&attempt);
        let before = self
            .state
            .borrow_mut()
            .ending_logs
            .insert(attempt, Watched::new(LogState::default()));
        drop(before);
        let start = self.kept_length(attempt).await;
        let is_whole = self
            .copy_whole_log(attempt, job, start, &Growth::default())
            .await;
        if !is_whole {
            if was_partial {
                self.partial_logs.borrow_mut().insert(attempt);
            }
            self.state.borrow_mut().ending_logs.remove(&attempt);
            return false;
        }
        self.finish_log(attempt).await && self.until_uploaded(attempt).await
    }

    /// Removes logs from the store whose jobs are not kept, as a scheduler was killed before it had removed them. Looks
    /// at some of them each time.
    pub(super) async fn sweep_log_store(self: Rc<Self>) {
        let Some(store) = &self.log_store else { return };
        for _ in 0..PAGES {
            let after = self.swept_up_to.get();
            let listed = store.run(move |work| work.list(after, PAGE)).await;
            // An error is logged there.
            let Some(Ok(listed)) = listed else { return };
            let is_last = listed.len() < PAGE;
            let next = listed.last().map(|log| log.attempt);
            self.sweep_stored(store, listed).await;
            self.swept_up_to.set(next.filter(|_| !is_last));
            if is_last {
                return;
            }
        }
    }

    async fn sweep_stored(&self, store: &LogStoreThread, listed: Vec<StoredLog>) {
        let is_old = |log: &StoredLog| log.since.elapsed().is_ok_and(|age| age >= MIN_AGE);
        let old: Vec<_> = listed.into_iter().filter(is_old).collect();
        let unsaved = self.attached.ids();
        let findings = self.read(move |reader| {
            let finding = |log: StoredLog| {
                let status = reader.log_status(log.attempt)?;
                let is_kept =
                    unsaved.contains(&log.attempt.job) || reader.is_kept(log.attempt.job)?;
                let finding = match status {
                    LogStatus::Removed => Finding::Orphan,
                    _ if !is_kept => Finding::Orphan,
                    LogStatus::Counted => Finding::Kept,
                    LogStatus::Uncounted => Finding::Uncounted,
                };
                Ok((log, finding))
            };
            old.into_iter().map(finding).collect::<Result<Vec<_>, _>>()
        });
        // What cannot be looked up now is looked up at the next time.
        let Ok(findings) = findings.await else { return };
        let mut orphans = Vec::new();
        for (log, finding) in findings {
            let StoredLog { attempt, bytes, .. } = log;
            match finding {
                Finding::Kept => {}
                Finding::Orphan => orphans.push(attempt),
                Finding::Uncounted => {
                    if let Some(Ok(length)) = store.run(move |work| work.length(attempt)).await {
                        self.log_is_whole(attempt, bytes, length);
                    }
                }
            }
        }
        if !orphans.is_empty() {
            tracing::info!(
                target: "scheduler",
                "Removing {} logs from the log store whose jobs are not kept", orphans.len()
            );
            store.remove(orphans);
        }
    }

    /// The log of an attempt is whole, and takes so many bytes. If all logs take too much now, old ones are removed.
    /// Returns the number of the entry that says so.
    pub(super) fn log_is_whole(&self, attempt: AttemptId, bytes: u64, length: u64) -> Option<u64> {
        self.logs.added(bytes);
        let committer = self.committer.borrow();
        let entry = committer.as_ref().map(|committer| {
            committer.append(Entry::Log(KeptLog {
                attempt,
                since: self.clock.unix_now(),
                bytes,
                length: Some(length),
            }))
        });
        drop(committer);
        if self.logs.whole() > self.settings.max_logs_bytes {
            self.expire();
        }
        entry
    }
}

/// What those are told who read a log that neither this scheduler nor the log store has wholly.
pub(super) fn with_its_worker(attempt: AttemptId) -> RpcError {
    RpcError::failed(format!(
        "the log of {attempt} is not in the log store yet: its worker has it until then; try again later"
    ))
}
