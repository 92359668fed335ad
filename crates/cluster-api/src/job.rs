//! Jobs: what a worker implements, a client watches, and a scheduler only introduces to each other.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;
use futures::TryFutureExt as _;
use futures::channel::oneshot;

use crate::answer::Answer;
use crate::dispatch;
use crate::handle::{Served, handle};
use crate::outcome::MAX_OUTPUT_BYTES;
use crate::promised::Promised;
use crate::raw::extensions_capnp::{extended_job, job_outcome};
use crate::raw::schema_capnp::job;
use crate::text::{long_text, malformed};
use crate::{Outcome, RpcError, RpcErrorKind};

handle! {
    /// A reference to a job, queued or running. When the last one goes, the job is cancelled.
    Job, job
}

/// A piece of a job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// What was logged. Empty at the end of the log, and only there.
    pub bytes: Vec<u8>,
    /// The offset in bytes to read on from.
    pub next: i64,
}

impl Job {
    /// Serves `job`, together with the extension [`Job::outcome`].
    ///
    /// [`ServeJob::released`] is called when the returned handle and all its clones are dropped.
    pub fn serve<S: ServeJob>(job: Rc<S>) -> Self {
        let client: extended_job::Client = dispatch::new_client(Served::new(job, S::released));
        Self::from_raw(client.cast_to())
    }

    /// Returns a job that is not known yet, and what makes it known.
    ///
    /// Calls on it wait, and are forwarded in order once it is resolved. It holds the job that it
    /// resolved to, and the resolver holds nothing: so the job lives as long as somebody has a
    /// reference to the promise or to itself.
    pub fn promise() -> (JobResolver, JobPromise) {
        let (sender, receiver) = oneshot::channel::<Result<Self, RpcError>>();
        let resolved = async move {
            match receiver.await {
                Ok(Ok(job)) => Ok(Self::into_client(job)),
                Ok(Err(error)) => Err(error.into()),
                Err(oneshot::Canceled) => Err(capnp::Error::failed(
                    "the job was given up before it started".into(),
                )),
            }
        };
        (JobResolver(sender), JobPromise(Promised::new(resolved)))
    }

    /// Reads the log from the offset `start`, waiting until there is something to read.
    ///
    /// An empty chunk is the end of the log. A negative `start` counts from the present end.
    pub fn log(&self, start: i64) -> Answer<LogChunk> {
        let mut request = self.client.log_request();
        request.get().set_start(start);
        Answer::new(
            request.send().promise,
            |results: job::log_results::Reader<'_>| {
                let bytes = results
                    .get_log()
                    .map_err(|error| malformed(&error, "log"))?
                    .to_vec();
                Ok(LogChunk {
                    bytes,
                    next: results.get_next(),
                })
            },
        )
    }

    /// Waits for the job to end, and returns its output.
    ///
    /// A job that failed or was cancelled ends in an error with a short reason; its log says more.
    pub fn result(&self) -> Answer<String> {
        let request = self.client.result_request();
        Answer::new(
            request.send().promise,
            |results: job::result_results::Reader<'_>| {
                long_text(results.get_output(), "output", MAX_OUTPUT_BYTES)
            },
        )
    }

    /// Waits for the job to end, and returns how it ended, as data.
    ///
    /// This is an extension of ours: upstream's worker answers `Unimplemented`. [`Job::explain`] does without it if need be.
    pub fn outcome(&self) -> Answer<Outcome> {
        let client: job_outcome::Client = self.client.clone().cast_to();
        Answer::new(
            client.outcome_request().send().promise,
            |results: job_outcome::outcome_results::Reader<'_>| {
                let outcome = results.get_outcome();
                Outcome::read(outcome.map_err(|error| malformed(&error, "outcome"))?)
            },
        )
    }

    /// Returns the outcome of a job whose `result` is `error`.
    ///
    /// It asks the worker. If that cannot answer, because it is lost or of another make, it reads the text of `error`. The
    /// future holds the job, and may wait for as long as the worker does not answer.
    pub fn explain(&self, error: RpcError) -> impl Future<Output = Outcome> + 'static {
        // Workers end a job in no other kind of error.
        let may_know = matches!(
            error.kind,
            RpcErrorKind::Failed | RpcErrorKind::Disconnected
        );
        let asked = may_know.then(|| (self.clone(), self.outcome()));
        async move {
            let reported = match asked {
                Some((_job, outcome)) => outcome.await.ok(),
                None => None,
            };
            match reported {
                // It was too late to stop it, and too early to know: the error is what counts.
                None | Some(Outcome::Succeeded(_)) => Outcome::of_error(&error),
                Some(outcome) => outcome,
            }
        }
    }

    /// Waits until a worker has taken the job. It fails, as all calls on the job, if none does.
    ///
    /// It reads the last byte of the log, which any worker answers at once.
    pub fn taken(&self) -> impl Future<Output = Result<(), RpcError>> + Unpin + 'static {
        self.log(-1).map_ok(drop)
    }

    /// Asks the worker to stop the job.
    pub fn cancel(&self) -> Answer<()> {
        let request = self.client.cancel_request();
        Answer::new(
            request.send().promise,
            |_: job::cancel_results::Reader<'_>| Ok(()),
        )
    }
}

/// A job that is not known yet. It keeps the job that it resolves to.
pub struct JobPromise(Promised);

impl JobPromise {
    /// Returns the job. A peer that is sent it is told once it is known, or that it will never be: by the exception with
    /// which the promise breaks.
    pub fn job(&self) -> Job {
        Job::from_client(self.0.client())
    }
}

impl fmt::Debug for JobPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobPromise(..)")
    }
}

/// Makes a promised job known. Dropping it breaks the promise.
#[derive(Debug)]
#[must_use = "dropping a resolver breaks its promise"]
pub struct JobResolver(oneshot::Sender<Result<Job, RpcError>>);

impl JobResolver {
    /// Hands over the job. If nobody holds the promise any more, this lets go of it at once.
    pub fn resolve(self, job: Job) {
        // An error means that nobody holds the promise, and gives back the job for us to drop.
        drop(self.0.send(Ok(job)));
    }

    /// Breaks the promise: all calls on it, past and future, end in `error`.
    pub fn fail(self, error: RpcError) {
        drop(self.0.send(Err(error)));
    }
}

/// A job as its worker implements it.
pub trait ServeJob: 'static {
    /// See [`Job::log`].
    fn log(self: Rc<Self>, start: i64) -> impl Future<Output = Result<LogChunk, RpcError>>;

    /// See [`Job::result`].
    fn result(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>>;

    /// See [`Job::outcome`]. A job that has no more to report than its result leaves this out.
    fn outcome(self: Rc<Self>) -> impl Future<Output = Result<Outcome, RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented("this job reports no outcome")))
    }

    /// See [`Job::cancel`].
    fn cancel(self: Rc<Self>) -> impl Future<Output = Result<(), RpcError>>;

    /// The last reference has gone: nobody wants the job any more, though calls may still be
    /// waiting for answers.
    ///
    /// `Drop` comes later, or not at all while the job runs: the scheduler waits for `result`
    /// without holding the job. This is called from inside the RPC system, so it may only take note
    /// and wake somebody up. It must not make calls.
    fn released(&self);
}

impl<S: ServeJob> job::Server for Served<S> {
    fn log(
        self: Rc<Self>,
        params: job::LogParams,
        mut results: job::LogResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let start = params.get()?.get_start();
            drop(params);
            let LogChunk { bytes, next } = job.log(start).await?;
            let mut results = results.get();
            results.set_next(next);
            results.set_log(&bytes);
            Ok(())
        }
    }

    fn result(
        self: Rc<Self>,
        _params: job::ResultParams,
        mut results: job::ResultResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let output = job.result().await?;
            results.get().set_output(&output);
            Ok(())
        }
    }

    fn cancel(
        self: Rc<Self>,
        _params: job::CancelParams,
        _results: job::CancelResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move { Ok(job.cancel().await?) }
    }
}

impl<S: ServeJob> job_outcome::Server for Served<S> {
    fn outcome(
        self: Rc<Self>,
        _params: job_outcome::OutcomeParams,
        mut results: job_outcome::OutcomeResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let job = self.object();
        async move {
            let outcome = job.outcome().await?;
            Ok(outcome.write(results.get().init_outcome())?)
        }
    }
}

impl<S: ServeJob> extended_job::Server for Served<S> {}
