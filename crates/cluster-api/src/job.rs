//! Jobs: implemented by a worker, watched by a client. A scheduler only connects the two.

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
use crate::{JobTimes, Outcome, RpcError, RpcErrorKind};

handle! {
    /// A reference to a job, queued or running. When the last one is dropped, the job is cancelled.
    Job, job
}

/// A piece of a job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// The bytes. Empty at the end of the log, and only there.
    pub bytes: Vec<u8>,
    /// The offset of the next chunk, in bytes.
    pub next: i64,
}

impl Job {
    /// Serves `job`, together with the extensions [`Job::outcome`], [`Job::forget`] and [`Job::times`].
    ///
    /// [`ServeJob::released`] is called when the returned handle and all its clones are dropped.
    pub fn serve<S: ServeJob>(job: Rc<S>) -> Self {
        let client: extended_job::Client = dispatch::new_client(Served::new(job, S::released));
        Self::from_raw(client.cast_to())
    }

    /// Returns the promise of a job, and its resolver.
    ///
    /// Calls on the promise wait, and are forwarded in order once it is resolved. The promise holds the job, and the
    /// resolver does not: so the job lives as long as there is a reference to the promise or to the job itself.
    pub fn promise() -> (JobResolver, JobPromise) {
        let (sender, receiver) = oneshot::channel::<Result<Self, RpcError>>();
        let resolved = async move {
            match receiver.await {
                Ok(Ok(job)) => Ok(Self::into_client(job)),
                Ok(Err(error)) => Err(error.into()),
                Err(oneshot::Canceled) => Err(capnp::Error::failed(
                    "the job was dropped before it started".into(),
                )),
            }
        };
        (JobResolver(sender), JobPromise(Promised::new(resolved)))
    }

    /// Reads the log from the offset `start`, and waits until there are bytes.
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
    /// The error of a job that failed or was cancelled is short; its log has the details.
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
    /// This is an extension of ours: upstream's worker answers `Unimplemented`. [`Job::explain`] works without it.
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
    /// It asks the worker. If that cannot answer, because it is lost or upstream's, the outcome is read from the text
    /// of `error`. The future holds the job, and waits for as long as the worker does not answer.
    pub fn explain(&self, error: RpcError) -> impl Future<Output = Outcome> + 'static {
        // A worker's jobs end in no other kind of error.
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
                // The job succeeded while it was being stopped. The error counts.
                None | Some(Outcome::Succeeded(_)) => Outcome::of_error(&error),
                Some(outcome) => outcome,
            }
        }
    }

    /// Waits until a worker has taken the job, by reading the last byte of the log, which any worker answers at once.
    ///
    /// # Errors
    /// When no worker takes the job: then all calls on the job fail with this error.
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

/// The promise of a job. It holds the job to which it resolves.
pub struct JobPromise(Promised);

impl JobPromise {
    /// Returns the job. A peer that gets it is informed when the promise is resolved or breaks.
    pub fn job(&self) -> Job {
        Job::from_client(self.0.client())
    }
}

impl fmt::Debug for JobPromise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobPromise(..)")
    }
}

/// Resolves the promise of a job. Dropping it breaks the promise.
#[derive(Debug)]
#[must_use = "dropping a resolver breaks its promise"]
pub struct JobResolver(oneshot::Sender<Result<Job, RpcError>>);

impl JobResolver {
    /// Resolves the promise to `job`. If the promise was dropped, `job` is dropped, too.
    pub fn resolve(self, job: Job) {
        // An error means that the promise was dropped. It contains the job, which is dropped here.
        drop(self.0.send(Ok(job)));
    }

    /// Breaks the promise: all calls on it, past and future, fail with `error`.
    pub fn fail(self, error: RpcError) {
        drop(self.0.send(Err(error)));
    }
}

/// A job, as its worker implements it.
pub trait ServeJob: 'static {
    /// See [`Job::log`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn log(self: Rc<Self>, start: i64) -> impl Future<Output = Result<LogChunk, RpcError>>;

    /// See [`Job::result`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn result(self: Rc<Self>) -> impl Future<Output = Result<String, RpcError>>;

    /// See [`Job::outcome`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn outcome(self: Rc<Self>) -> impl Future<Output = Result<Outcome, RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented("this job reports no outcome")))
    }

    /// See [`Job::forget`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn forget(self: Rc<Self>) -> impl Future<Output = Result<(), RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented("this job is not kept")))
    }

    /// See [`Job::times`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn times(
        self: Rc<Self>,
        _version: u64,
        _offset: u64,
    ) -> impl Future<Output = Result<JobTimes, RpcError>> {
        futures::future::ready(Err(RpcError::unimplemented("this job reports no times")))
    }

    /// See [`Job::cancel`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn cancel(self: Rc<Self>) -> impl Future<Output = Result<(), RpcError>>;

    /// The last reference was dropped: the job is not wanted any more, though calls may still wait for answers.
    ///
    /// `Drop` comes later, or not at all while the job runs, as the scheduler waits for `result`. This is called from
    /// inside the RPC system: it may record the event and wake a task, but must not make calls.
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
