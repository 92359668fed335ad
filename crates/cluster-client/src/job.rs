//! A job, from the submit to its output: one attempt after the other, until it ends or is not wanted any more.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cluster_api::{Description, EncodedDescription, Job as WireJob, RpcError};
use futures::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use vat::Backoff;

use crate::attempt::{Attempt, End};
use crate::cluster::Shared;
use crate::places::Place;
use crate::{JobError, Log};

/// The shortest time between two attempts at one job, in case each is lost at once.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A submitted job. Await it for its output: a pushed image's RepoId, OBuilder's result id, or nothing.
///
/// It goes on whether or not it is awaited or its log is read. Dropping it cancels it; once it has ended, it may be
/// dropped, and its logs can still be read to their ends.
#[must_use = "dropping a job cancels it"]
pub struct Job {
    driver: JoinHandle<Result<String, JobError>>,
    progress: watch::Receiver<Progress>,
    /// `None` once it is cancelled. Dropping it is the wish.
    wanted: Option<oneshot::Sender<()>>,
}

/// What those who read its log need to know of a job.
pub(crate) struct Progress {
    /// Which attempt this is. The first is 1.
    pub(crate) attempt: u32,
    /// How the attempt before this one was lost. Empty in the first.
    pub(crate) lost: String,
    /// This attempt's job. `None` until it is submitted.
    pub(crate) job: Option<WireJob>,
    pub(crate) stage: Stage,
}

/// Whether a job has ended, and what may be said of its log then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    GoesOn,
    /// A worker ran it until it ended, however: there is a log to its end.
    Built,
    /// It ended in another way. How, is told by the job rather than by its log.
    GivenUp,
}

impl Job {
    pub(crate) fn start(
        shared: Rc<Shared>,
        pool: &str,
        description: &Description,
        urgent: bool,
    ) -> Self {
        let (wanted, unwanted) = oneshot::channel();
        let (sender, progress) = watch::channel(Progress {
            attempt: 1,
            lost: String::new(),
            job: None,
            stage: Stage::GoesOn,
        });
        let driver = Driver {
            shared,
            pool: pool.to_owned(),
            urgent,
            progress: sender,
            unwanted,
        };
        Self {
            driver: tokio::task::spawn_local(driver.run(description.encode())),
            progress,
            wanted: Some(wanted),
        }
    }

    /// Returns the job's log as a stream, from the beginning of the present attempt. Each is a reader of its own.
    ///
    /// It holds nothing up: a job whose log is not read, or slowly, is as fast, and what is not read stays with the
    /// worker. It can be read to its end after the job has ended.
    pub fn log(&self) -> Log {
        Log::new(self.progress.clone())
    }

    /// Cancels the job, if it has not ended. Await it to see that it has: it may have succeeded just before.
    pub fn cancel(&mut self) {
        self.wanted = None;
    }
}

impl Future for Job {
    type Output = Result<String, JobError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.driver.poll_unpin(context)) {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and the connection with it.
                Err(_) => Err(JobError::Cancelled),
            },
        })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress.borrow();
        f.debug_struct("Job")
            .field("attempt", &progress.attempt)
            .field("stage", &progress.stage)
            .finish_non_exhaustive()
    }
}

/// What sees a job through.
struct Driver {
    shared: Rc<Shared>,
    pool: String,
    urgent: bool,
    progress: watch::Sender<Progress>,
    /// Resolves when nobody wants the job.
    unwanted: oneshot::Receiver<()>,
}

impl Driver {
    async fn run(
        mut self,
        description: Result<EncodedDescription, RpcError>,
    ) -> Result<String, JobError> {
        let outcome = match description {
            Ok(description) => self.outcome(&description).await,
            Err(error) => Err(JobError::Refused(error.reason)),
        };
        let stage = match &outcome {
            Ok(_) | Err(JobError::Failed(_) | JobError::CancelledByOperator) => Stage::Built,
            Err(_) => Stage::GivenUp,
        };
        self.progress.send_modify(|progress| progress.stage = stage);
        outcome
    }

    async fn outcome(&mut self, description: &EncodedDescription) -> Result<String, JobError> {
        let mut backoff = Backoff::new(RETRY_INTERVAL);
        let mut workers = 0;
        loop {
            let delay = backoff.next_attempt(Instant::now().into_std());
            tokio::select! {
                biased;
                _ = &mut self.unwanted => return Err(JobError::Cancelled),
                () = sleep(delay) => {}
            }
            let (reason, suspect) = match self.attempt(description).await? {
                End::Over(outcome) => return outcome,
                End::Lost { reason, suspect } => (reason, suspect),
            };
            // What else gets lost is not the job's doing, however often it happens.
            workers += u32::from(suspect);
            if workers >= self.shared.options.max_lost.max(1) {
                return Err(JobError::Lost { workers, reason });
            }
            tracing::warn!(
                "Lost a job in pool {:?} ({reason}); trying again",
                self.pool
            );
            self.progress.send_modify(|progress| {
                progress.attempt += 1;
                progress.lost = reason;
                progress.job = None;
            });
        }
    }

    async fn attempt(&mut self, description: &EncodedDescription) -> Result<End, JobError> {
        let (place, mut attempt) = tokio::select! {
            biased;
            _ = &mut self.unwanted => return Err(JobError::Cancelled),
            submitted = submit(&self.shared, &self.pool, description, self.urgent) => submitted?,
        };
        let job = attempt.job();
        self.progress
            .send_modify(|progress| progress.job = Some(job));
        tokio::select! {
            biased;
            _ = &mut self.unwanted => {}
            end = attempt.end(place) => return Ok(end),
        }
        Ok(End::Over(attempt.cancel().await))
    }
}

/// Submits the job once there is a connection and a place for it.
async fn submit(
    shared: &Shared,
    pool: &str,
    description: &EncodedDescription,
    urgent: bool,
) -> Result<(Place, Attempt), JobError> {
    let patience = shared.options.patience;
    let connected = || async {
        let submission = shared.connection.submission(patience).await;
        submission.map_err(JobError::NoConnection)
    };
    // First of all, so that jobs without a place lose their patience with the others.
    connected().await?;
    let place = shared.places.take(pool, urgent).await;
    let submission = connected().await?;
    let ticket = submission.submit_encoded(pool, description, urgent);
    Ok((place, Attempt::new(ticket)))
}
