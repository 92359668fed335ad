//! One attempt at a job: it is submitted once, over one connection, and watched until it ends.

use std::fmt;
use std::time::Duration;

use cluster_api::{
    Answer, Description, EncodedDescription, Explanation, Job, Outcome, Pipelined, RpcError,
    Submission, Ticket, TicketStatus,
};
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared, ready};
use tokio::time::timeout;
use vat::{Address, Session};

use crate::LogReader;

/// How long a cancelled job may take to end. After that it is left to the scheduler.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a worker may take to report the outcome of a job that has ended.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait, after the loss of a job, for the loss of the scheduler to show: it may take a moment longer.
const LOSS_SETTLES: Duration = Duration::from_millis(200);

/// One attempt at a job, without retries: for a program that decides about them itself, or that shows its user each
/// state of the job. Others use [`Cluster`](crate::Cluster), whose jobs consist of attempts.
///
/// Dropping it removes a queued job from the queue. A running job is cancelled when this, its handles from
/// [`job`](Self::job) and its readers from [`log`](Self::log) are all dropped. [`cancel`](Self::cancel) is faster, and
/// reports whether it came in time.
///
/// ```no_run
/// use cluster_client::Attempt;
/// # use cluster_api::{Action, Description, DockerBuild};
///
/// # async fn build() -> Result<(), Box<dyn std::error::Error>> {
/// let sturdy_ref = vat::cap_file::load("submission.cap")?;
/// let session = vat::Dialer::new(vat::DialOptions::default()).connect(&sturdy_ref).await?;
///
/// let description = Description::new(Action::Docker(DockerBuild::default()));
/// let attempt = Attempt::submit(session, "linux-x86_64", &description, false);
/// println!("{:?}", attempt.status().await?);
/// let mut log = attempt.log();
/// while let Some(piece) = log.next().await? {
///     print!("{}", String::from_utf8_lossy(&piece));
/// }
/// match attempt.ended().await {
///     Ok(output) => println!("built: {output}"),
///     Err(error) => println!("{}: {error}", error.outcome),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping an attempt cancels its job"]
pub struct Attempt {
    session: Session,
    ticket: Pipelined<Ticket>,
    job: Pipelined<Job>,
    result: Shared<LocalBoxFuture<'static, Result<String, RpcError>>>,
}

/// Why an attempt has no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct AttemptError {
    /// How the job ended. Never [`Outcome::Succeeded`].
    pub outcome: Outcome,
    /// The error that the worker or the scheduler sent, or that the loss of the connection is.
    pub error: RpcError,
}

impl From<RpcError> for AttemptError {
    /// Reads the outcome from the text of the error.
    fn from(error: RpcError) -> Self {
        let outcome = Outcome::of_error(&error);
        Self { outcome, error }
    }
}

/// The result of the request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// The request was accepted, and the job has ended; after [`Attempt::request_cancel`], it may still be ending.
    /// [`Attempt::ended`] returns how it ended: it may have succeeded just before.
    Done,
    /// The request was rejected: there was nothing to cancel any more, or the connection is lost.
    TooLate,
    /// The request was sent, but within 10 seconds there was no answer, or the job has not ended.
    Unconfirmed,
}

/// Which part of the cluster was lost, and with it the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostPart {
    /// The connection to the scheduler at this address.
    Scheduler(Address),
    /// The worker that had the job, or its connection to the scheduler.
    Worker,
}

impl Attempt {
    /// Submits a job to a pool, as the client whose submission is at the other end of `session`.
    ///
    /// Returns at once. Whatever is wrong with the job, such as an unknown pool, is an error of the calls below.
    pub fn submit(session: Session, pool: &str, description: &Description, urgent: bool) -> Self {
        let submission = Submission::from_client(session.bootstrap());
        let ticket = submission.submit(pool, description, urgent);
        Self::of_ticket(session, ticket)
    }

    /// Submits a job that is encoded already.
    pub(crate) fn submit_encoded(
        session: Session,
        pool: &str,
        description: &EncodedDescription,
        urgent: bool,
    ) -> Self {
        let submission = Submission::from_client(session.bootstrap());
        let ticket = submission.submit_encoded(pool, description, urgent);
        Self::of_ticket(session, ticket)
    }

    fn of_ticket(session: Session, ticket: Pipelined<Ticket>) -> Self {
        let job = ticket.job();
        Self {
            // Requested at once, so that it is here when the job ends.
            result: job.result().boxed_local().shared(),
            job,
            ticket,
            session,
        }
    }

    /// Returns the job.
    pub fn job(&self) -> Job {
        Job::clone(&self.job)
    }

    /// Returns where the job is: queued, and why; assigned to a worker; running; finished.
    ///
    /// # Errors
    /// When the job was refused, the connection is lost, or the scheduler is upstream's, which does not report it.
    pub fn status(&self) -> Answer<TicketStatus> {
        self.ticket.status()
    }

    /// Returns why the job waits.
    ///
    /// # Errors
    /// When the job was refused, the connection is lost, or the scheduler does not report it, as upstream's.
    pub fn explanation(&self) -> Answer<Explanation> {
        self.ticket.explain()
    }

    /// Returns the number of the job's ticket, by which operators know it.
    ///
    /// # Errors
    /// When the job was refused, the connection is lost, or the scheduler is upstream's, which does not report it.
    pub fn number(&self) -> Answer<u64> {
        self.ticket.number()
    }

    /// Returns a reader of the job's log, at its beginning. Once the job has ended, the rest of the log has the limits
    /// of [`LogReader::job_ended`].
    pub fn log(&self) -> LogReader {
        LogReader::new(self.job(), LogReader::WINDOW).until(self.result.clone().map(drop))
    }

    /// Waits until a worker has taken the job.
    ///
    /// # Errors
    /// When no worker has, and none will: the error is that of [`ended`](Self::ended). Also when its worker cannot read
    /// the log.
    pub fn taken(&self) -> impl Future<Output = Result<(), RpcError>> + Unpin + 'static {
        self.job.taken()
    }

    /// Waits for the job to end, and returns its output: a pushed image's RepoId, OBuilder's result id, or nothing.
    ///
    /// # Errors
    /// When the job failed, was refused, cancelled, or lost.
    pub async fn ended(&self) -> Result<String, AttemptError> {
        match self.result().await {
            Ok(output) => Ok(output),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Returns the output of a job that is known to have succeeded: to [`ended`](Self::ended) or to a reader of its
    /// [`log`](Self::log). `None` for any other job.
    pub fn output(&self) -> Option<&str> {
        self.result.peek()?.as_deref().ok()
    }

    /// Waits for the job to end. The error is only known as a text: see [`explain`](Self::explain).
    pub(crate) fn result(
        &self,
    ) -> impl Future<Output = Result<String, RpcError>> + Unpin + use<> + 'static {
        self.result.clone()
    }

    /// Asks the worker for the outcome of the job that ended with `error`. Without an answer, the text has to do.
    pub(crate) async fn explain(&self, error: RpcError) -> AttemptError {
        match timeout(OUTCOME_TIMEOUT, self.job.explain(error.clone())).await {
            Ok(outcome) => AttemptError { outcome, error },
            Err(_) => AttemptError::from(error),
        }
    }

    /// Removes the job from the queue or stops it, and waits until it has ended, for at most 10 seconds.
    pub async fn cancel(&self) -> Cancellation {
        self.cancel_and_wait(self.result()).await
    }

    /// Requests that the job be cancelled, and waits until the request has arrived, for at most 10 seconds.
    pub async fn request_cancel(&self) -> Cancellation {
        self.cancel_and_wait(ready(())).await
    }

    /// Removes the job from the queue or stops it, and waits until `watching` has seen the end of it, for at most 10
    /// seconds: until the rest of the log is shown, perhaps.
    pub async fn cancel_and_wait(&self, watching: impl Future) -> Cancellation {
        let ended = futures::future::join(self.ticket.cancel(), watching);
        match timeout(CANCEL_TIMEOUT, ended).await {
            Ok((Ok(()), _)) => Cancellation::Done,
            Ok((Err(_), _)) => Cancellation::TooLate,
            Err(_) => Cancellation::Unconfirmed,
        }
    }

    /// Returns which part of the cluster was lost with the job, if the outcome is [`Outcome::Lost`] or
    /// [`Outcome::Abandoned`].
    pub async fn lost_part(&self) -> LostPart {
        match timeout(LOSS_SETTLES, self.session.closed()).await {
            Ok(_) => LostPart::Scheduler(self.session.address()),
            Err(_) => LostPart::Worker,
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("scheduler", &self.session.address())
            .field("result", &self.result.peek())
            .finish_non_exhaustive()
    }
}
