//! A submitted job, as its program has it.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use cluster_api::Description;
use futures::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::cluster::Shared;
use crate::driver::Driver;
use crate::state::JobState;
use crate::{Attempt, JobError, Log};

/// A submitted job. Await it for its output: a pushed image's RepoId, OBuilder's result id, or nothing.
///
/// It continues whether or not it is awaited or its log is read. Dropping it cancels it. Once it has ended, it may be
/// dropped, and its logs can still be read to their ends.
#[must_use = "dropping a job cancels it"]
pub struct Job {
    driver: JoinHandle<Result<String, JobError>>,
    state: watch::Receiver<JobState>,
    /// Dropping it cancels the job. `None` once it is cancelled.
    cancel: Option<oneshot::Sender<()>>,
}

impl Job {
    pub(crate) fn start(
        shared: Rc<Shared>,
        pool: &str,
        description: &Description,
        urgent: bool,
    ) -> Self {
        let (cancel, cancelled) = oneshot::channel();
        let (sender, state) = watch::channel(JobState::new());
        let driver = Driver {
            shared,
            pool: pool.to_owned(),
            urgent,
            state: sender,
            cancelled,
        };
        Self {
            driver: tokio::task::spawn_local(driver.run(description.encode())),
            state,
            cancel: Some(cancel),
        }
    }

    /// Returns the job's log as a stream, from the beginning of the present attempt. Each call returns a new reader.
    ///
    /// Reading is optional and may be slow: the job does not wait for it, and the worker keeps what is not read. The
    /// log can be read to its end after the job has ended.
    pub fn log(&self) -> Log {
        Log::new(self.state.clone())
    }

    /// Returns the present attempt, to ask for its [`status`](Attempt::status), such as why it is queued, or for its
    /// [`number`](Attempt::number). `None` while it waits to be submitted, and when the job has ended.
    ///
    /// Do not keep it for longer than the question takes: it keeps the connection open.
    pub fn attempt(&self) -> Option<Rc<Attempt>> {
        self.state.borrow().attempt.upgrade()
    }

    /// Cancels the job, if it has not ended. Await it to learn how it ended: it may have succeeded just before.
    pub fn cancel(&mut self) {
        self.cancel = None;
    }
}

impl Future for Job {
    type Output = Result<String, JobError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.driver.poll_unpin(context)) {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down, and closes the connection.
                Err(_) => Err(JobError::Cancelled),
            },
        })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Job")
            .field("attempt", &state.number)
            .field("stage", &state.stage)
            .finish_non_exhaustive()
    }
}
