//! Opens what is kept of durable jobs, before the pools are there.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use futures::channel::mpsc;
use job_store::log_store::{LogStore, LogStoreError};
use job_store::logs::{ListedLog, LogError, Logs};
use job_store::{
    Committer, LogStatus, OpenError, Place, Reader, Report, Sealer, StoreError, Totals, Writer as _,
};
use jobs::{AttemptId, JobId, Saved};
use pool::{PastJob, Time};
use visible::counted;

use super::archiver::{Archived, Archiver};
use super::log_store::{self, LogStoreThread, Uploaded};
use super::past;
use super::store_thread::StoreThread;
use crate::clock::Clock;
use crate::log_store_settings::{Acknowledge, LogStoreSettings};

/// Why durable jobs cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of logs cannot be used.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// The log store cannot be used with these settings.
    #[error(transparent)]
    LogStore(#[from] LogStoreError),
    /// The system has no thread to give.
    #[error("cannot start a thread for the jobs that are kept")]
    Thread(#[source] io::Error),
}

/// Where durable jobs are kept, and with which key.
pub(crate) struct Places {
    pub(crate) database: Place,
    pub(crate) logs: PathBuf,
    /// Seals descriptions.
    pub(crate) sealer: Sealer,
    pub(crate) log_store: Option<LogStorePlace>,
}

/// A log store, and what it is used with.
pub(crate) struct LogStorePlace {
    pub(crate) settings: LogStoreSettings,
    /// What only those with the scheduler's key have.
    pub(crate) secret: Vec<u8>,
    pub(crate) clock: Clock,
}

/// What was kept, before the pools are there.
pub(crate) struct Opened {
    pub(super) committer: Committer,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    pub(super) threads: Threads,
    pub(super) sealer: Sealer,
    pub(super) saved: Vec<Saved>,
    pub(super) totals: Totals,
    /// The jobs from which each pool learns, by its name.
    pub(crate) past: BTreeMap<String, Vec<PastJob>>,
    /// How large the descriptions of these are, in bytes.
    pub(super) description_sizes: HashMap<JobId, usize>,
}

/// The threads that read and write what is kept, other than the one that saves changes.
pub(super) struct Threads {
    pub(super) store: StoreThread,
    pub(super) records: StoreThread,
    pub(super) descriptions: StoreThread,
    pub(super) archiver: Archiver,
    /// What that has compressed.
    pub(super) archived: mpsc::UnboundedReceiver<Archived>,
    pub(super) log_store: Option<LogStoreThread>,
    /// What that has uploaded.
    pub(super) uploaded: mpsc::UnboundedReceiver<Uploaded>,
}

impl Threads {
    fn start(
        database: &Place,
        reader: Box<dyn Reader>,
        logs: &Path,
        unfinished: HashMap<JobId, u32>,
        now: Time,
        log_store: Option<LogStorePlace>,
    ) -> Result<Self, KeepError> {
        let known = database.open_reader()?;
        let mut leftovers = Leftovers {
            known,
            unfinished,
            started: now,
            are_with_workers: log_store
                .as_ref()
                .is_some_and(|place| place.settings.acknowledge == Acknowledge::InStore),
        };
        let leftovers = move |logs: &Logs| leftovers.find(logs);
        let (report, archived) = mpsc::unbounded();
        // An error means that the scheduler has ended.
        let report = move |archived| drop(report.unbounded_send(archived));
        let archiver = Archiver::start(Logs::open(logs)?, leftovers, report);
        let archiver = archiver.map_err(KeepError::Thread)?;
        let start = |name, reader, archive| {
            StoreThread::start(name, reader, Logs::open(logs)?, archive).map_err(KeepError::Thread)
        };
        let (reporter, uploaded) = mpsc::unbounded();
        let log_store = log_store.map(|settings| {
            // An error means that the scheduler has ended.
            let report = move |uploaded| drop(reporter.unbounded_send(uploaded));
            start_log_store(settings, Logs::open(logs)?, report)
        });
        Ok(Self {
            log_store: log_store.transpose()?,
            uploaded,
            store: start("job logs", database.open_reader()?, archiver.inbox())?,
            records: start("job records", database.open_reader()?, None)?,
            descriptions: start("job starts", reader, None)?,
            archiver,
            archived,
        })
    }
}

fn start_log_store(
    place: LogStorePlace,
    logs: Logs,
    report: impl Fn(Uploaded) + Send + 'static,
) -> Result<LogStoreThread, KeepError> {
    let LogStorePlace {
        settings,
        secret,
        clock,
    } = place;
    let LogStoreSettings {
        address,
        credentials,
        cache_bytes,
        acknowledge,
    } = settings;
    tracing::info!(target: "scheduler", "Keeping logs in {address}");
    let open = move || LogStore::open(&address, &credentials, &secret);
    let settings = log_store::Use {
        cache_bytes,
        acknowledge,
        clock,
    };
    LogStoreThread::start(open, logs, settings, report).map_err(|error| match error {
        log_store::StartError::Store(error) => KeepError::LogStore(error),
        log_store::StartError::Thread(error) => KeepError::Thread(error),
    })
}

/// Finds the logs that an earlier process has left: they are whole, and not counted, as it was killed before that.
struct Leftovers {
    known: Box<dyn Reader>,
    /// The jobs that had not ended when this process started, and the numbers of their latest attempts.
    unfinished: HashMap<JobId, u32>,
    started: Time,
    /// Workers keep logs until they are in the log store, and return with them.
    are_with_workers: bool,
}

impl Leftovers {
    fn find(&mut self, logs: &Logs) -> Result<Vec<AttemptId>, LogError> {
        let mut found = Vec::new();
        for folder in logs.folders()? {
            let listed = logs.list(&folder)?.into_iter();
            let whole = listed.filter(|log| self.is_uncounted(log.attempt) && self.is_whole(log));
            found.extend(whole.map(|log| log.attempt));
        }
        Ok(found)
    }

    /// Tells whether nothing is added to a log any more.
    fn is_whole(&mut self, log: &ListedLog) -> bool {
        let AttemptId { job, number } = log.attempt;
        match self.unfinished.get(&job) {
            Some(latest) => log.is_archived || (number < *latest && !self.are_with_workers),
            None => {
                // That of a job that came after the start may grow, and this disk may have a part of what others have.
                let record = self.known.record(job).ok().flatten();
                record.is_some_and(|record| {
                    let is_here = log.is_archived || record.attached || !self.are_with_workers;
                    is_here && record.submitted < self.started
                })
            }
        }
    }

    fn is_uncounted(&mut self, attempt: AttemptId) -> bool {
        let status = self.known.log_status(attempt);
        status.is_ok_and(|status| status == LogStatus::Uncounted)
    }
}

/// Opens what is kept of durable jobs.
///
/// # Errors
///
/// [`KeepError`] when it cannot be used.
pub(crate) fn open(places: Places, now: Time) -> Result<Opened, KeepError> {
    let Places {
        database,
        logs,
        sealer,
        log_store,
    } = places;
    let (mut writer, mut reader) = database.open()?;
    let saved = writer.restore()?;
    let totals = writer.totals()?;
    match writer.end_attached(now)? {
        0 => {}
        lost => tracing::info!(
            target: "scheduler",
            "{} lost with the scheduler before this one", counted(lost, "attached job")
        ),
    }
    let past = past::by_pool(reader.finished(past::MAX_JOBS)?);
    let description_sizes = reader.description_sizes()?.into_iter().collect();
    let unfinished = saved.iter().map(|saved| (saved.new.id, saved.attempts));
    let unfinished = unfinished.collect();
    let threads = Threads::start(&database, reader, &logs, unfinished, now, log_store)?;
    let (reporter, reports) = mpsc::unbounded();
    // An error means that the scheduler has ended.
    let report = move |report| drop(reporter.unbounded_send(report));
    let committer = Committer::start(writer, report).map_err(KeepError::Thread)?;
    Ok(Opened {
        committer,
        reports,
        threads,
        sealer,
        saved,
        totals,
        past,
        description_sizes,
    })
}
