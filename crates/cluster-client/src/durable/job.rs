//! A durable job, through whatever connection there is.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use cluster_api::{
    Answer, DurableDetails, DurableLogChunk, DurableOutcome, DurableStage, DurableStatus,
    Explanation, LogTimesPage, Phase, RpcError, Submission,
};
use futures::FutureExt as _;
use vat::Session;

use super::key::random_key;
use super::link::Repetition;
use super::{DurableError, DurableLog, StatusChanges};
use crate::cluster::Shared;

/// A job that outlives connections. Clones are the same job.
///
/// Calls wait until there is a connection, and are made again when it is lost. Dropping the last clone does not cancel
/// the job: what becomes of one that is not watched any more was said when it was submitted
/// ([`JobRequest::unwatched`](cluster_api::JobRequest::unwatched)).
#[derive(Clone)]
pub struct DurableJob(Rc<Inner>);

struct Inner {
    shared: Rc<Shared>,
    access: Access,
    /// The job, as long as its connection lasts.
    handle: RefCell<Option<Handle>>,
    /// How many connections it was reached through.
    connections: Cell<u64>,
}

#[derive(Clone)]
struct Handle {
    session: Session,
    job: cluster_api::DurableJob,
    /// The number of the connection.
    connection: u64,
}

/// How a job is reached through a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// By its id. It counts as watched.
    Watching(String),
    /// By its id. It does not count as watched.
    Observing(String),
    /// The sturdy ref is that of the job itself.
    Shared,
}

impl DurableJob {
    /// Returns a job that is not reached yet.
    pub(super) fn new(shared: Rc<Shared>, access: Access) -> Self {
        Self(Rc::new(Inner {
            shared,
            access,
            handle: RefCell::default(),
            connections: Cell::default(),
        }))
    }

    /// Returns a job that was just reached.
    pub(super) fn reached(
        shared: Rc<Shared>,
        access: Access,
        session: Session,
        job: cluster_api::DurableJob,
    ) -> Self {
        let reached = Self::new(shared, access);
        reached.keep(session, job);
        reached
    }

    /// Returns its id, which another program can find it by. `None` for a job that was shared.
    pub fn id(&self) -> Option<&str> {
        match &self.0.access {
            Access::Watching(id) | Access::Observing(id) => Some(id),
            Access::Shared => None,
        }
    }

    fn keep(&self, session: Session, job: cluster_api::DurableJob) -> Handle {
        let connection = self.0.connections.get() + 1;
        self.0.connections.set(connection);
        let handle = Handle {
            session,
            job,
            connection,
        };
        self.0.handle.replace(Some(handle.clone()));
        handle
    }

    async fn handle(&self) -> Result<Handle, DurableError> {
        let repetition = Repetition::new();
        loop {
            let known = self.0.handle.borrow().clone();
            if let Some(known) =
                known.filter(|known| known.session.closed().now_or_never().is_none())
            {
                return Ok(known);
            }
            // It is watched no longer through the old connection.
            self.0.handle.take();
            let session = self.0.shared.session().await?;
            let submission = Submission::from_client(session.bootstrap());
            let found = match &self.0.access {
                Access::Watching(id) => submission.find_durable(id).await,
                Access::Observing(id) => submission.observe_durable(id).await,
                Access::Shared => Ok(cluster_api::DurableJob::from_client(session.bootstrap())),
            };
            match found {
                Ok(job) => return Ok(self.keep(session, job)),
                Err(error) => repetition.after(error, &session, &self.0.shared).await?,
            }
        }
    }

    /// Makes a call on the job, again if the connection is lost. Also returns the number of the connection.
    pub(super) async fn call<T: 'static>(
        &self,
        call: impl Fn(&cluster_api::DurableJob, u64) -> Answer<T>,
    ) -> Result<(u64, T), DurableError> {
        let repetition = Repetition::new();
        loop {
            let handle = self.handle().await?;
            match call(&handle.job, handle.connection).await {
                Ok(answer) => return Ok((handle.connection, answer)),
                Err(error) => {
                    let Handle { session, .. } = handle;
                    repetition.after(error, &session, &self.0.shared).await?;
                }
            }
        }
    }

    /// Returns the job on the present connection, for calls that their caller makes again.
    pub(super) async fn present(&self) -> Result<cluster_api::DurableJob, DurableError> {
        self.handle().await.map(|handle| handle.job)
    }

    /// A call on [`present`](Self::present) has failed: waits until the next one makes sense.
    pub(super) async fn lost(
        &self,
        error: RpcError,
        repetition: &Repetition,
    ) -> Result<(), DurableError> {
        let known = self.0.handle.borrow().clone();
        match known {
            Some(Handle { session, .. }) => repetition.after(error, &session, &self.0.shared).await,
            None => Ok(()),
        }
    }

    /// Returns its status.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn status(&self) -> Result<DurableStatus, DurableError> {
        self.call(|job, _| job.status())
            .await
            .map(|(_, status)| status)
    }

    /// Returns why it waits; `None` if the scheduler is an older one, which does not report it.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn explanation(&self) -> Result<Option<Explanation>, DurableError> {
        match self.call(|job, _| job.explain()).await {
            Ok((_, explanation)) => Ok(Some(explanation)),
            Err(DurableError::Unsupported) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns what is known of it, but for its description.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn describe(&self) -> Result<DurableDetails, DurableError> {
        self.call(|job, _| job.describe())
            .await
            .map(|(_, details)| details)
    }

    /// Returns its statuses, the present one first.
    pub fn changes(&self) -> StatusChanges {
        StatusChanges::new(self.clone())
    }

    /// Waits until it has ended. Returns the number of its latest attempt (0 if there was none), and how it ended.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or has no such job.
    pub async fn ended(&self) -> Result<(u32, DurableOutcome), DurableError> {
        let mut changes = self.changes();
        loop {
            if let DurableStage::Ended { attempt, outcome } = changes.next().await?.stage {
                return Ok((attempt, outcome));
            }
        }
    }

    /// Returns its log from the beginning of its first attempt, with all that follow until it has ended.
    pub fn log(&self) -> DurableLog {
        self.log_from(1, 0)
    }

    /// Returns its log from an offset of an attempt, with all that follow until it has ended. The bytes at an offset
    /// never change.
    pub fn log_from(&self, attempt: u32, offset: u64) -> DurableLog {
        DurableLog::new(self.clone(), attempt, offset)
    }

    /// Reads a piece of the log of an attempt from an offset, and waits until there are bytes. None at its end.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or cannot read the log.
    pub async fn log_piece(
        &self,
        attempt: u32,
        offset: u64,
    ) -> Result<DurableLogChunk, DurableError> {
        self.call(|job, _| job.log(attempt, offset))
            .await
            .map(|(_, chunk)| chunk)
    }

    /// Returns the phases of an attempt. None if its worker reports none.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or keeps no phases ([`DurableError::Unsupported`]).
    pub async fn phases(&self, attempt: u32) -> Result<Vec<Phase>, DurableError> {
        self.call(|job, _| job.phases(attempt))
            .await
            .map(|(_, phases)| phases)
    }

    /// Returns when a part of the log of an attempt was written: first the time of what is at `start`. Those of what
    /// was written just now are waited for, for a short time.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or keeps no times ([`DurableError::Unsupported`]).
    pub async fn log_times(
        &self,
        attempt: u32,
        start: u64,
        end: u64,
    ) -> Result<LogTimesPage, DurableError> {
        self.call(|job, _| job.log_times(attempt, start, end))
            .await
            .map(|(_, page)| page)
    }

    /// Cancels it. When this returns, the job does not succeed any more.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or the job has ended.
    pub async fn cancel(&self) -> Result<(), DurableError> {
        let first = self.handle().await?.connection;
        let cancelled = self.call(|job, _| job.cancel()).await;
        let Err(DurableError::Refused(error)) = cancelled else {
            return cancelled.map(drop);
        };
        // The answer to the first call may have been lost.
        let is_another = self.handle().await?.connection != first;
        match self.status().await?.stage {
            DurableStage::Ended {
                outcome: DurableOutcome::CancelledByClient,
                ..
            } if is_another => Ok(()),
            _ => Err(DurableError::Refused(error)),
        }
    }

    /// Submits it again: a new job with the same description, labels and limits. `continues`: that one continues when
    /// it is not watched any more; otherwise it is cancelled then.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or the job has not ended, succeeded, or ended too long ago.
    pub async fn retry(&self, continues: bool) -> Result<Self, DurableError> {
        // So that two calls make one job.
        let key = random_key()?;
        let repetition = Repetition::new();
        loop {
            let Handle { session, job, .. } = self.handle().await?;
            let shared = &self.0.shared;
            match job.retry(Some(&key), continues).await {
                Ok((id, job)) => {
                    let access = Access::Watching(id);
                    return Ok(Self::reached(Rc::clone(shared), access, session, job));
                }
                Err(error) => repetition.after(error, &session, shared).await?,
            }
        }
    }

    /// Returns the URI of a sturdy ref that shows this job, and cannot change it. It is a secret.
    ///
    /// # Errors
    /// When the scheduler cannot be reached, or this job was shared itself.
    pub async fn share(&self) -> Result<String, DurableError> {
        self.call(|job, _| job.share()).await.map(|(_, uri)| uri)
    }
}

impl fmt::Debug for DurableJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableJob")
            .field("access", &self.0.access)
            .finish_non_exhaustive()
    }
}
