//! One job, from the first line of its log to the last.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{CancelledBy, Description, JobTimes, LogChunk, PhaseKind, RpcError, ServeJob};
use futures::future::{FutureExt as _, join_all};
use job_rules::SourceRequest;
use tokio::sync::watch;
use tokio::time::timeout;
use visible::Lines;

use crate::admission::{Admission, AdmittedJob};
use crate::cancel::{Cancel, Reason};
use crate::executor::{Backend, Executors, Fitness, Unfit};
use crate::job_secrets::unredacted;
use crate::log::JobLog;
use crate::metrics::Stats;
use crate::outcome::{JobError, LimitReached, Outcome};
use crate::running::Slot;
use crate::source::{Context, Sources};
use crate::state_disk::StateDisk;

/// How long the end of a job is delayed on an unfit worker until the scheduler knows that the worker is paused.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);

/// A job as its client and the scheduler see it. It exists before its description arrives.
pub(crate) struct ServedJob {
    log: JobLog,
    cancel: Cancel,
    outcome: watch::Sender<Option<Outcome>>,
    holder: RefCell<Holder>,
}

/// Who decides how long the job goes on.
enum Holder {
    /// Not known yet. It may have been released already.
    Unknown { is_released: bool },
    /// Its client: it is cancelled when it is released.
    Client,
    /// The scheduler, which may return after the connection was lost. Calling this has the attempt forgotten.
    Scheduler(Rc<dyn Fn()>),
}

impl ServedJob {
    pub(crate) fn new(log: JobLog) -> Self {
        Self {
            log,
            holder: RefCell::new(Holder::Unknown { is_released: false }),
            cancel: Cancel::new(),
            outcome: watch::Sender::new(None),
        }
    }

    pub(crate) fn cancel_token(&self) -> &Cancel {
        &self.cancel
    }

    pub(crate) fn log(&self) -> &JobLog {
        &self.log
    }

    /// Returns the outcome, if the job has ended.
    pub(crate) fn outcome_so_far(&self) -> Option<cluster_api::Outcome> {
        let outcome = self.outcome.borrow().clone();
        outcome.map(Outcome::reported)
    }

    /// The job ends with its connection.
    pub(crate) fn attach(&self) {
        if let Holder::Unknown { is_released: true } = self.holder.replace(Holder::Client) {
            self.cancel.cancel();
        }
    }

    /// The job is an attempt that this worker keeps, until `forget` is called.
    pub(crate) fn keep(&self, forget: Rc<dyn Fn()>) {
        self.holder.replace(Holder::Scheduler(forget));
    }

    /// Ends the job. Jobs end nowhere else.
    fn finish(&self, outcome: Outcome) {
        match &outcome {
            Outcome::Succeeded(_) => {
                tracing::info!("Job succeeded");
                self.log.close("Job succeeded");
            }
            Outcome::Failed { reason, .. } => {
                tracing::info!("Job failed: {}", Lines(&self.log.redacted(reason)));
                self.log.close(reason);
            }
            Outcome::LimitReached(limit) => {
                tracing::info!("Job failed: {limit}");
                self.log.close(&limit.to_string());
            }
            Outcome::Cancelled(_) => {
                tracing::info!("Job cancelled");
                self.log.close("Job cancelled");
            }
            Outcome::Abandoned => {
                tracing::info!("Job cancelled: the worker is shutting down");
                self.log
                    .close("Job cancelled: the worker is shutting down; submit it again");
            }
            Outcome::Unfit { .. } => {
                let reason = reason_of(outcome.clone());
                tracing::warn!("Job not completed: {}", Lines(&reason));
                self.log.close(&format!("{reason}; submit the job again"));
            }
            Outcome::Crashed => {
                tracing::error!("Job failed: internal error (a bug in the worker)");
                self.log
                    .close("Internal error: this is a bug in the worker; see the worker's log");
            }
        }
        tracing::trace!(target: "crash-point", point = "before-outcome");
        self.outcome.send_replace(Some(outcome));
    }

    /// Waits for the job to end.
    async fn ended(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await;
        // `self` holds the sender, so the wait cannot end without an outcome.
        ended
            .ok()
            .and_then(|outcome| outcome.clone())
            .unwrap_or(Outcome::Crashed)
    }
}

impl ServeJob for ServedJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        self.log
            .read(start)
            .await
            .map_err(|error| RpcError::failed(error.to_string()))
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        self.ended().await.reported().into_result()
    }

    async fn outcome(self: Rc<Self>) -> Result<cluster_api::Outcome, RpcError> {
        Ok(self.ended().await.reported())
    }

    async fn times(self: Rc<Self>, version: u64, offset: u64) -> Result<JobTimes, RpcError> {
        Ok(self.log.times(version, offset))
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.cancel.cancel();
        Ok(())
    }

    async fn forget(self: Rc<Self>) -> Result<(), RpcError> {
        let forget = match &*self.holder.borrow() {
            Holder::Scheduler(forget) => Some(Rc::clone(forget)),
            Holder::Unknown { .. } | Holder::Client => None,
        };
        let forget = forget.ok_or_else(|| RpcError::unimplemented("this job is not kept"))?;
        forget();
        Ok(())
    }

    fn released(&self) {
        match &mut *self.holder.borrow_mut() {
            Holder::Unknown { is_released } => *is_released = true,
            Holder::Client => self.cancel.cancel(),
            Holder::Scheduler(_) => {}
        }
    }
}

/// Returns the error that clients get for an outcome that is one.
fn reason_of(outcome: Outcome) -> String {
    match outcome.reported().into_result() {
        Ok(output) => output,
        Err(error) => error.reason,
    }
}

/// Runs jobs.
pub(crate) struct JobRunner {
    /// The worker's name.
    pub(crate) name: String,
    pub(crate) sources: Sources,
    pub(crate) executors: Executors,
    pub(crate) stats: Rc<Stats>,
    /// The time limit of a job.
    pub(crate) timeout: Option<Duration>,
    pub(crate) state_disk: StateDisk,
    /// Whether the scheduler knows that this worker is paused.
    pub(crate) is_paused: watch::Sender<bool>,
}

impl JobRunner {
    /// Runs a job to its end, once there is room for it in `slot`. `description` may be an error, which is the job's.
    pub(crate) async fn run(
        &self,
        job: &ServedJob,
        description: Result<Description, JobError>,
        slot: &mut Slot,
    ) {
        let started = Instant::now();
        let outcome = self.outcome(job, description, slot);
        // A bug that affects one job must not end the others.
        let outcome = AssertUnwindSafe(outcome).catch_unwind().await;
        let outcome = outcome.unwrap_or(Outcome::Crashed);
        let time = started.elapsed();
        tracing::info!("Build duration: {:.6}s", time.as_secs_f64());
        self.stats.job_ended(&outcome, time);
        if let Outcome::Unfit { .. } = outcome {
            // Otherwise the scheduler could assign the resubmitted job to this worker again.
            let mut paused = self.is_paused.subscribe();
            drop(timeout(PAUSE_LIMIT, paused.wait_for(|paused| *paused)).await);
        }
        job.finish(outcome);
    }

    async fn outcome(
        &self,
        job: &ServedJob,
        description: Result<Description, JobError>,
        slot: &mut Slot,
    ) -> Outcome {
        let mut state = AttemptState::default();
        let result = self.attempt(job, &description, slot, &mut state).await;
        let AttemptState { backend, had_begun } = state;
        match result {
            Ok(output) => Outcome::Succeeded(output),
            Err(JobError::Failed { reason, exit_code }) => match self.worker_problem(backend).await
            {
                Some(problem) => Outcome::Unfit { problem, had_begun },
                None => Outcome::Failed { reason, exit_code },
            },
            Err(JobError::WorkerUnfit(problem)) => Outcome::Unfit { problem, had_begun },
            Err(JobError::LimitReached(limit)) => Outcome::LimitReached(limit),
            Err(JobError::Cancelled) => match job.cancel.reason() {
                Some(Reason::TimedOut(limit)) => {
                    Outcome::LimitReached(LimitReached::Timeout(limit))
                }
                Some(Reason::Shutdown) => Outcome::Abandoned,
                Some(Reason::Client) => Outcome::Cancelled(CancelledBy::Client),
                Some(Reason::Operator) => Outcome::Cancelled(CancelledBy::Operator),
                Some(Reason::GivenUp) | None => Outcome::Cancelled(CancelledBy::Unknown),
            },
        }
    }

    /// Returns the fitness of the worker's parts, to watch.
    pub(crate) fn fitness(&self) -> Vec<Fitness> {
        let mut fitness = self.executors.fitness();
        fitness.push(self.state_disk.fitness());
        fitness
    }

    /// Returns why the worker should take no jobs.
    pub(crate) fn unfit(&self) -> Vec<Unfit> {
        let known = |fitness: Fitness| fitness.borrow().clone();
        self.fitness().into_iter().filter_map(known).collect()
    }

    /// Examines whether the worker is fit for jobs.
    pub(crate) async fn examine(&self) {
        let executors = self.executors.backends().map(Backend::examine);
        futures::join!(self.state_disk.examine(), join_all(executors));
    }

    /// Returns the known problem of this worker that makes any job on this backend fail.
    fn unfit_for(&self, backend: &dyn Backend) -> Option<String> {
        let known = |fitness: Fitness| fitness.borrow().clone().filter(Unfit::fails_jobs);
        let of_backend = || backend.fitness().and_then(known);
        let unfit = known(self.state_disk.fitness()).or_else(of_backend);
        unfit.map(|unfit| unfit.to_string())
    }

    /// Examines whether a job may have failed because of a problem of this worker, and returns that.
    async fn worker_problem(&self, backend: Option<&dyn Backend>) -> Option<String> {
        let backend = backend?;
        futures::join!(self.state_disk.examine(), backend.examine());
        self.unfit_for(backend)
    }

    /// Checks out the source of a job, which is a phase of it if there is something to check out.
    async fn check_out(
        &self,
        source: Option<&SourceRequest>,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<Context, JobError> {
        let name = source.map(|source| source.repository.as_str());
        let _phase = name.map(|name| log.phase(PhaseKind::Source, name));
        self.sources.check_out(source, log, cancel).await
    }

    async fn attempt<'a>(
        &'a self,
        job: &ServedJob,
        description: &'a Result<Description, JobError>,
        slot: &mut Slot,
        state: &mut AttemptState<'a>,
    ) -> Result<String, JobError> {
        let ServedJob {
            log,
            cancel,
            outcome: _,
            holder: _,
        } = job;
        log.line(format_args!("Building on {}", self.name))?;
        if cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let Admission {
            announcement,
            redactor,
            backend,
            job,
        } = self
            .executors
            .admit(description.as_ref().map_err(JobError::clone)?);
        state.backend = Some(backend);
        let remarks = unredacted(&redactor);
        log.redact(redactor)?;
        for remark in remarks {
            log.line(remark)?;
        }
        tracing::info!("{announcement}");
        let AdmittedJob { source, build } = job?;
        if let Some(obstacle) = slot.obstacle() {
            tracing::info!("{obstacle}");
            log.line(obstacle)?;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(JobError::Cancelled),
            () = slot.take() => {}
        }
        if let Some(problem) = self.unfit_for(backend) {
            return Err(JobError::WorkerUnfit(problem));
        }
        state.had_begun = true;
        let work = async {
            let source = self.check_out(source.as_ref(), log, cancel).await?;
            let result = build.run(source.path(), log, cancel).await;
            source.remove().await;
            result
        };
        match self.timeout {
            Some(limit) => stop_after(limit, cancel, work).await,
            None => work.await,
        }
    }
}

/// What is known of an attempt to run a job, however it ends.
#[derive(Default)]
struct AttemptState<'a> {
    /// `None` until the description has been read.
    backend: Option<&'a dyn Backend>,
    had_begun: bool,
}

/// Runs `work`, and cancels it when it has taken longer than `limit`.
async fn stop_after<T>(limit: Duration, cancel: &Cancel, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => done,
        () = tokio::time::sleep(limit) => {
            cancel.cancel_because(Reason::TimedOut(limit));
            work.await
        }
    }
}
