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

mod committer;
mod error;
pub mod logs;
mod query;
mod record;
mod seal;
pub mod sqlite;

pub use committer::{Committer, Report};
pub use error::{OpenError, StoreError};
use std::ops::RangeInclusive;

use jobs::{Change, JobId, JobKey, NewJob, Saved};
use pool::{ClientId, Time};
pub use query::{Cursor, Page, Query};
pub use record::{AttemptRecord, Label, Record, State, Submitted};
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
}

/// The half of a store that saves. One thread has it.
pub trait Writer: Send {
    /// Returns the jobs that have not ended, in the order of their submissions.
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
}

/// The half of a store that reads. It sees what is committed.
pub trait Reader: Send {
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
}
