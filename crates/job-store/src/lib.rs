//! Keeps jobs that outlive connections: on disk, with their history.
//!
//! A store saves the changes that [`jobs::Jobs`] asks for, and gives back what a scheduler needs after a restart. It
//! is two halves, so that a page of the history never makes a submission wait: a [`Writer`], which one thread has, and
//! any number of [`Reader`]s.
//!
//! ```
//! use job_store::{Details, Reader as _, Sealer, Write, Writer as _, sqlite};
//! use jobs::{Change, JobId, NewJob, Terms};
//! use pool::{CacheHint, ClientId, Time};
//!
//! let folder = tempfile::tempdir()?;
//! let (mut writer, mut reader) = sqlite::open(&folder.path().join("jobs.db"))?;
//!
//! let id = JobId::from_bits(0x5eed);
//! let sealer = Sealer::new(b"the scheduler's private key");
//! let new = NewJob {
//!     id,
//!     client: ClientId::new("alice")?,
//!     pool: "linux-x86_64".into(),
//!     hint: CacheHint::new("git/ocaml"),
//!     urgent: false,
//!     key: None,
//!     terms: Terms::default(),
//! };
//! let details = Details {
//!     description: sealer.seal(id, b"FROM busybox")?,
//!     kind: "docker".to_owned(),
//!     labels: Vec::new(),
//! };
//! writer.commit(&[Write::submitted(new, Time::from_secs(1), details)])?;
//!
//! assert_eq!(writer.restore()?.len(), 1);
//! let sealed = reader.description(id)?.ok_or("it is kept")?;
//! assert_eq!(sealer.open(id, &sealed)?, b"FROM busybox");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Secrets
//!
//! Descriptions hold secrets, so they are [sealed](Sealer) with a key that is not in the store. That of a job that
//! succeeds is wiped with its end; the others are kept until [`Writer::wipe`], so that their jobs can be retried.

mod attached;
mod attempt_row;
mod boxed;
mod columns;
mod committer;
mod entry;
mod error;
pub mod log_store;
pub mod logs;
mod phase;
mod place;
pub mod postgres;
mod query;
mod record;
mod seal;
mod shared_texts;
pub mod sqlite;
mod words;

pub use attached::AttachedRecord;
pub use committer::{Cleanup, Committer, CommitterStats, Report};
pub use entry::{
    AuditEntry, AuditPage, AuditQuery, Entry, Expired, Expiry, KeptLog, LogStatus, Totals,
};
pub use error::{OpenError, StoreError};
use std::ops::RangeInclusive;

use jobs::{AttemptId, Change, JobId, JobKey, NewJob, Saved};
pub use phase::{ChangedPhases, PhaseRecord};
pub use place::{Halves, Place};
use pool::{ClientId, Time};
pub use query::{Cursor, Page, Query};
pub use record::{AttemptRecord, FinishedAttempt, Label, Record, State, Submitted};
pub use seal::{SealError, Sealed, Sealer, UnsealError};

/// What is saved of a job beside what decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Its description, sealed.
    pub description: Sealed,
    /// Its kind, such as "docker".
    pub kind: String,
    /// What its client calls it.
    pub labels: Vec<Label>,
}

/// A change to save, and what goes with it.
#[derive(Clone, Debug)]
pub struct Write {
    change: Change,
    /// With a submission, and only with that.
    details: Option<Box<Details>>,
}

impl Write {
    /// Returns the submission of a job.
    pub fn submitted(new: NewJob, at: Time, details: Details) -> Self {
        let change = Change::Submitted {
            new: Box::new(new),
            at,
        };
        Self {
            change,
            details: Some(Box::new(details)),
        }
    }

    /// Returns a change with the details that go with it if it is a submission.
    pub fn new(change: Change, details: Option<Details>) -> Self {
        Self {
            change,
            details: details.map(Box::new),
        }
    }

    /// Returns the job that it is about.
    pub fn job(&self) -> JobId {
        self.change.job()
    }
}

/// A job that was removed from the store. Its logs are the caller's to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The job.
    pub job: JobId,
    /// The number of its latest attempt; 0 if it had none.
    pub attempts: u32,
    /// How much of the disk its logs take, in bytes.
    pub log_bytes: u64,
}

/// The half of a store that saves. One thread has it.
pub trait Writer: Send {
    /// Returns the durable jobs that have not ended, in the order of their submissions.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be read.
    fn restore(&mut self) -> Result<Vec<Saved>, StoreError>;

    /// Saves all of these changes, or none. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be saved. They may be tried again.
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError>;

    /// Saves attached jobs as they are at present, all or none, in place of what was saved of them before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be saved.
    fn save_attached(&mut self, records: &[AttachedRecord]) -> Result<(), StoreError>;

    /// Ends all attached jobs that have not ended, as lost with the scheduler that had them. Returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be saved.
    fn end_attached(&mut self, at: Time) -> Result<usize, StoreError>;

    /// Removes some of the jobs that ended before a time, at most so many, and returns them. Short, so that changes
    /// need not wait: call it until it returns none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be removed.
    fn prune(&mut self, ended_before: Time, at_most: u32) -> Result<Vec<Pruned>, StoreError>;

    /// Wipes the descriptions of some of the jobs that ended before a time, at most so many, and returns how many it
    /// wiped. As short as [`prune`](Self::prune).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be wiped.
    fn wipe(&mut self, ended_before: Time, at_most: u32) -> Result<usize, StoreError>;

    /// Returns where the store goes on. Logs whose jobs were never saved are not counted any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read or written.
    fn totals(&mut self) -> Result<Totals, StoreError>;

    /// Saves all of these entries, or none. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be saved. They may be tried again.
    fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError>;

    /// Saves phases of attempts in place of what was saved of them before, all or none. Those whose jobs are not kept
    /// any more are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be saved.
    fn save_phases(&mut self, changed: &[ChangedPhases]) -> Result<(), StoreError>;

    /// Removes some of what has expired, at most so many logs and so many entries of the audit log. Short, like
    /// [`prune`](Self::prune).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be removed.
    fn expire(&mut self, expiry: &Expiry, at_most: u32) -> Result<Expired, StoreError>;
}

/// The half of a store that reads. It sees what is committed.
pub trait Reader: Send {
    /// Returns the attempts that ran to their end, well or not, of the `at_most` jobs that ended last. The first to
    /// start comes first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn finished(&mut self, at_most: u32) -> Result<Vec<FinishedAttempt>, StoreError>;

    /// Returns the job that a client has submitted with a key, ended or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn with_key(&mut self, client: &ClientId, key: &JobKey) -> Result<Option<JobId>, StoreError>;

    /// Returns the first jobs of a client whose ids are in a range, at most so many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn in_range(
        &mut self,
        client: &ClientId,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Returns whether a job is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn is_kept(&mut self, job: JobId) -> Result<bool, StoreError>;

    /// Returns the first jobs of any client whose ids are in a range, at most so many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn all_in_range(
        &mut self,
        ids: RangeInclusive<JobId>,
        at_most: u32,
    ) -> Result<Vec<JobId>, StoreError>;

    /// Returns entries of the audit log, the latest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn audit(&mut self, query: &AuditQuery) -> Result<AuditPage, StoreError>;

    /// Returns what is known of the log of an attempt.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn log_status(&mut self, attempt: AttemptId) -> Result<LogStatus, StoreError>;

    /// Returns how long the log of an attempt is, in bytes; `None` if it is not counted, or an older version has
    /// counted it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn log_length(&mut self, attempt: AttemptId) -> Result<Option<u64>, StoreError>;

    /// Returns the phases of an attempt, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn phases(&mut self, attempt: AttemptId) -> Result<Vec<PhaseRecord>, StoreError>;

    /// Returns what is known of a job.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn record(&mut self, job: JobId) -> Result<Option<Record>, StoreError>;

    /// Returns some of the jobs that a query asks for, the latest submission first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn page(&mut self, query: &Query) -> Result<Page, StoreError>;

    /// Returns a job as it was submitted.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn submitted(&mut self, job: JobId) -> Result<Option<Submitted>, StoreError>;

    /// Returns the description of a job, unless it is wiped.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn description(&mut self, job: JobId) -> Result<Option<Sealed>, StoreError>;

    /// Returns how large the sealed description of each job is that has not ended, in bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot be read.
    fn description_sizes(&mut self) -> Result<Vec<(JobId, usize)>, StoreError>;
}
