//! One job, from the first line of its log to the last.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cluster_api::{Action, CancelledBy, Description, Dockerfile, LogChunk, RpcError, ServeJob};
use futures::future::{FutureExt as _, join_all};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cancel::{Cancel, Reason};
use crate::executor::{Executor, Executors, Fitness, Unfit};
use crate::job_secrets::{redactor, unredacted};
use crate::log::JobLog;
use crate::metrics::Stats;
use crate::outcome::{JobError, LimitReached, Outcome};
use crate::process::printable;
use crate::running::Slot;
use crate::source::{SourceError, SourceRequest, Sources};
use crate::state_disk::StateDisk;

/// How long a job that its worker is not fit for waits until the scheduler knows that this worker wants no more.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);

/// A job as its client and the scheduler see it. It exists before it is known what the job is.
pub(crate) struct ServedJob {
    log: JobLog,
    cancel: Cancel,
    outcome: watch::Sender<Option<Outcome>>,
}

impl ServedJob {
    pub(crate) fn new(log: JobLog) -> Self {
        Self {
            log,
            cancel: Cancel::new(),
            outcome: watch::Sender::new(None),
        }
    }

    pub(crate) fn cancel_wish(&self) -> &Cancel {
        &self.cancel
    }

    /// Ends the job: the only place where one does.
    fn finish(&self, outcome: Outcome) {
        match &outcome {
            Outcome::Succeeded(_) => {
                tracing::info!("Job succeeded");
                self.log.close("Job succeeded");
            }
            Outcome::Failed(reason) => {
                tracing::info!("Job failed: {}", printable(&self.log.redacted(reason)));
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
                tracing::warn!("Job not done: {}", printable(&reason));
                self.log.close(&format!("{reason}; submit the job again"));
            }
            Outcome::Crashed => {
                tracing::error!("Job failed because of a defect of this worker");
                self.log.close(
                    "Internal error: this is a defect of the worker, whose own log says more",
                );
            }
        }
        self.outcome.send_replace(Some(outcome));
    }

    /// Waits for the job to end.
    async fn ended(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await;
        // The sender is ours, so the wait cannot end without an outcome.
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

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.cancel.cancel();
        Ok(())
    }

    fn released(&self) {
        self.cancel.cancel();
    }
}

/// Returns what clients are told of an outcome that is an error.
fn reason_of(outcome: Outcome) -> String {
    match outcome.reported().into_result() {
        Ok(output) => output,
        Err(error) => error.reason,
    }
}

/// Runs jobs.
pub(crate) struct JobRunner {
    /// What the worker is called.
    pub(crate) name: String,
    pub(crate) sources: Sources,
    pub(crate) executors: Executors,
    pub(crate) stats: Rc<Stats>,
    /// How long a job may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) state_disk: StateDisk,
    /// Whether the scheduler knows that this worker wants no jobs.
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
        let action = description.as_ref().ok().map(|job| job.action.clone());
        let had_begun = Cell::new(false);
        let attempt = self.attempt(job, description, slot, &had_begun);
        // A defect in what runs one job is no reason to end the others.
        let outcome = match AssertUnwindSafe(attempt).catch_unwind().await {
            Ok(Ok(output)) => Outcome::Succeeded(output),
            Ok(Err(JobError::Failed(reason))) => match self.what_broke(action.as_ref()).await {
                Some(problem) => Outcome::Unfit {
                    problem,
                    had_begun: had_begun.get(),
                },
                None => Outcome::Failed(reason),
            },
            Ok(Err(JobError::WorkerUnfit(problem))) => Outcome::Unfit {
                problem,
                had_begun: had_begun.get(),
            },
            Ok(Err(JobError::LimitReached(limit))) => Outcome::LimitReached(limit),
            Ok(Err(JobError::Cancelled)) => match job.cancel.reason() {
                Some(Reason::TimedOut(limit)) => {
                    Outcome::LimitReached(LimitReached::Timeout(limit))
                }
                Some(Reason::WorkerEnds) => Outcome::Abandoned,
                Some(Reason::Unwanted) => Outcome::Cancelled(CancelledBy::Client),
                Some(Reason::Operator) => Outcome::Cancelled(CancelledBy::Operator),
                None => Outcome::Cancelled(CancelledBy::Unknown),
            },
            Err(_) => Outcome::Crashed,
        };
        let time = started.elapsed();
        tracing::info!("Build duration: {:.6}s", time.as_secs_f64());
        self.stats.job_ended(&outcome, time);
        if let Outcome::Unfit { .. } = outcome {
            // Or the job would be back before the scheduler knows that it is no use.
            let mut paused = self.is_paused.subscribe();
            drop(timeout(PAUSE_LIMIT, paused.wait_for(|paused| *paused)).await);
        }
        job.finish(outcome);
    }

    /// Returns what speaks against taking jobs, as that changes.
    pub(crate) fn fitness(&self) -> Vec<Fitness> {
        let mut fitness = self.executors.fitness();
        fitness.push(self.state_disk.fitness());
        fitness
    }

    /// Returns what speaks against taking jobs.
    pub(crate) fn unfit(&self) -> Vec<Unfit> {
        let known = |fitness: Fitness| fitness.borrow().clone();
        self.fitness().into_iter().filter_map(known).collect()
    }

    /// Looks anew whether something does.
    pub(crate) async fn examine(&self) {
        let executors = self.executors.all().map(Executor::examine);
        futures::join!(self.state_disk.examine(), join_all(executors));
    }

    /// Returns what makes jobs like this one fail whatever is in them, as far as that is known.
    fn unfit_for(&self, action: &Action) -> Option<String> {
        let known = |fitness: Fitness| fitness.borrow().clone().filter(Unfit::fails_jobs);
        let of_executor = || self.executors.of(action).fitness().and_then(known);
        let unfit = known(self.state_disk.fitness()).or_else(of_executor);
        unfit.map(|unfit| unfit.to_string())
    }

    /// Looks whether it may be the worker's fault that a job has failed, and what is wrong then.
    async fn what_broke(&self, action: Option<&Action>) -> Option<String> {
        let action = action?;
        let executor = self.executors.of(action);
        futures::join!(self.state_disk.examine(), executor.examine());
        self.unfit_for(action)
    }

    async fn attempt(
        &self,
        job: &ServedJob,
        description: Result<Description, JobError>,
        slot: &mut Slot,
        had_begun: &Cell<bool>,
    ) -> Result<String, JobError> {
        let ServedJob {
            log,
            cancel,
            outcome: _,
        } = job;
        log.line(format_args!("Building on {}", self.name))?;
        if cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let description = description?;
        let redactor = redactor(&description);
        let remarks = unredacted(&redactor);
        log.redact(redactor)?;
        for remark in remarks {
            log.line(remark)?;
        }
        announce(&description);
        let executor = self.executors.of(&description.action);
        executor.admit(&description)?;
        if let Some(obstacle) = slot.obstacle() {
            tracing::info!("{obstacle}");
            log.line(obstacle)?;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(JobError::Cancelled),
            () = slot.take() => {}
        }
        if let Some(problem) = self.unfit_for(&description.action) {
            return Err(JobError::WorkerUnfit(problem));
        }
        had_begun.set(true);
        let request = SourceRequest::of(&description, wants_git(&description.action))?;
        let work = async {
            let source = self
                .sources
                .check_out(request.as_ref(), log, cancel)
                .await?;
            let result = executor.run(&description, source.path(), log, cancel).await;
            source.remove().await;
            result
        };
        match self.timeout {
            Some(limit) => stop_after(limit, cancel, work).await,
            None => work.await,
        }
    }
}

/// Does a job's work, which is asked to stop when it has taken longer than `limit`.
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

impl From<SourceError> for JobError {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn wants_git(action: &Action) -> bool {
    matches!(action, Action::Docker(build) if build.include_git)
}

/// Returns a cache hint as the worker's log shows it: like the scheduler's, it says when there is none.
pub(crate) fn shown_hint(hint: &str) -> String {
    if hint.is_empty() {
        "no cache hint".to_owned()
    } else {
        printable(hint)
    }
}

/// Says in the worker's log what is going to be done.
fn announce(job: &Description) {
    let hint = shown_hint(&job.cache_hint);
    match &job.action {
        Action::Docker(build) => match &build.dockerfile {
            Dockerfile::Contents(text) => {
                tracing::info!("Got request to build ({hint}):\n{}", printable(text.trim()));
            }
            Dockerfile::Path(path) => tracing::info!("Got request to build {path:?} ({hint})"),
        },
        Action::OBuilder(build) => {
            tracing::info!(
                "Got request to build ({hint}):\n{}",
                printable(build.spec.trim())
            );
        }
        Action::Custom(custom) => {
            tracing::info!("Got request to build a job of kind {:?}", custom.kind);
        }
    }
}
