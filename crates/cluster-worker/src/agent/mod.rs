//! The worker's loop: it waits for room, requests a job, starts it, and repeats that; when the connection is lost, it
//! reconnects.

mod ending;
mod fitness;
mod joining;
mod room;
#[cfg(test)]
mod tests;
mod worker_object;

use std::cell::OnceCell;
use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{Description, Job, PoppedJob, Registration, RpcError, RpcErrorKind, Worker};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument as _;
use vat::{Backoff, Failure};
use visible::Lines;

use crate::activity::Activity;
use crate::admission::shown_hint;
use crate::config::WorkerConfig;
use crate::connection_jobs::ConnectionJobs;
use crate::executor::fit;
use crate::job::{JobRunner, ServedJob};
use crate::kept::KeptAttempts;
use crate::log::{JobLog, LogDir};
use crate::machine::Machine;
use crate::metrics::{BuilderStats, Stats};
use crate::outcome::JobError;
use crate::running::Running;
use crate::update::{Updater, container_id};
use crate::uplink::{Connection, NoConnection, Uplink};
use crate::vitals::Link;

/// How often to prune the clones of repositories. Also how long to wait before Docker's files are pruned again, after
/// that did not help.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How often to check whether this worker is fit for jobs, as for OBuilder's store.
const EXAMINATION_INTERVAL: Duration = Duration::from_secs(30);

/// How long to pause before and after an update, as upstream: for results to be sent, and for the service to be
/// replaced.
const UPDATE_PAUSE: Duration = Duration::from_secs(1);

/// The scheduler's error for a worker whose name is taken: upstream's text.
const ALREADY_REGISTERED: &str = "Worker already registered!";

pub use self::ending::Ending;
pub(crate) use self::ending::Intake;
use self::joining::{attempt_id, pop};
use self::worker_object::WorkerObject;

/// Why a worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Its operator has stopped it.
    Shutdown,
    /// Its supervisor must restart it, in its latest version.
    Updated,
}

/// How a connection ended.
enum Ended {
    /// The worker is to end.
    Exit(Exit),
    /// Why another connection is needed.
    Failed(Failure, String),
    /// The scheduler has refused the registration, for this reason.
    Refused(String),
}

/// A worker.
pub(crate) struct Agent {
    pub(crate) config: WorkerConfig,
    pub(crate) runner: JobRunner,
    pub(crate) log_dir: LogDir,
    /// The attempts of durable jobs that it keeps.
    pub(crate) kept: Rc<KeptAttempts>,
    /// Identifies this process among those of the worker; 0 if that is not possible.
    pub(crate) instance: u64,
    pub(crate) stats: Rc<Stats>,
    pub(crate) machine: Machine,
    /// OBuilder's statistics, if this worker has it.
    pub(crate) builder_stats: Option<watch::Receiver<BuilderStats>>,
    pub(crate) updater: Updater,
    pub(crate) running: Running,
    pub(crate) intake: Intake,
    /// Set when the worker must end.
    pub(crate) exit: watch::Sender<Option<Exit>>,
    /// The longest wait between two attempts to connect.
    pub(crate) reconnect_interval: Duration,
    pub(crate) update_pause: Duration,
    /// Prevents other workers from using this worker's directory.
    pub(crate) _lock: std::fs::File,
}

/// The settings of an agent that differ in tests.
pub(crate) struct AgentOptions {
    pub(crate) reconnect_interval: Duration,
    pub(crate) update_pause: Duration,
    /// The id of the container that the worker runs in, if it does.
    pub(crate) container: Option<String>,
}

impl Default for AgentOptions {
    fn default() -> Self {
        // Systems without this file have no containers.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self {
            reconnect_interval: Backoff::LONGEST,
            update_pause: UPDATE_PAUSE,
            container: container_id(&mounts).map(str::to_owned),
        }
    }
}

impl Agent {
    /// Works until `shutdown` ends, or until an update.
    pub(crate) async fn run(
        self: Rc<Self>,
        uplink: &dyn Uplink,
        shutdown: impl Future<Output = Ending>,
    ) -> Exit {
        let stopping = async {
            match shutdown.await {
                Ending::AtOnce => {}
                Ending::Drain { within } => self.drain(within).await,
            }
            self.end(Exit::Shutdown);
            std::future::pending().await
        };
        let working = async {
            // Before it connects, so that an unfit worker gets no job at all.
            self.runner.examine().await;
            self.stay_connected(uplink).await
        };
        tokio::select! {
            exit = working => exit,
            never = stopping => match never {},
            never = self.kept.run() => match never {},
            never = self.prune_clones() => match never {},
            never = self.examine_regularly() => match never {},
        }
    }

    /// Checks regularly whether this worker is fit for jobs.
    async fn examine_regularly(&self) -> Infallible {
        loop {
            tokio::time::sleep(EXAMINATION_INTERVAL).await;
            self.runner.examine().await;
        }
    }

    /// Keeps the clones of git repositories within their limits.
    async fn prune_clones(&self) -> Infallible {
        loop {
            self.runner.sources.prune().await;
            tokio::time::sleep(PRUNE_INTERVAL).await;
        }
    }

    async fn stay_connected(self: &Rc<Self>, uplink: &dyn Uplink) -> Exit {
        let mut backoff = Backoff::new(self.reconnect_interval);
        self.config.vitals.set_link(Link::Away);
        loop {
            let begin = Instant::now();
            let (failure, what, reason) = match self.work(uplink).await {
                Ended::Exit(exit) => return exit,
                Ended::Failed(Failure::Lost, reason) => {
                    (Failure::Lost, "Lost connection to scheduler", reason)
                }
                Ended::Failed(failure, reason) => (failure, "Cannot connect to scheduler", reason),
                Ended::Refused(reason) => (Failure::Refused, "Registration refused", reason),
            };
            self.config.vitals.set_link(Link::Away);
            self.kept.disconnected();
            if self.intake.is_closing() && !self.kept.has_running() {
                // The running jobs have lost their clients, and are about to be cancelled.
                self.wind_down(Exit::Shutdown, ready(())).await;
                return Exit::Shutdown;
            }
            // Without chance, it is the shortest wait.
            let chance = getrandom::u64().unwrap_or_default();
            let delay = backoff.next_wait(failure, begin.elapsed(), chance);
            tracing::warn!(
                "{what} ({}). Will retry in {:.1}s...",
                Lines(&reason),
                delay.as_secs_f64()
            );
            tokio::select! {
                biased;
                exit = self.exit_wanted() => {
                    // The running jobs have lost their clients, and may take a moment to stop.
                    self.wind_down(exit, ready(())).await;
                    return exit;
                }
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Connects, and takes jobs until the connection ends.
    async fn work(self: &Rc<Self>, uplink: &dyn Uplink) -> Ended {
        let connection = tokio::select! {
            biased;
            exit = self.exit_wanted() => return Ended::Exit(exit),
            connection = uplink.connect() => connection,
        };
        let Connection {
            registration,
            lost,
            flushed,
        } = match connection {
            Ok(connection) => connection,
            Err(NoConnection { failure, reason }) => return Ended::Failed(failure, reason),
        };
        let jobs = ConnectionJobs::default();
        let worker = Worker::serve(Rc::new(WorkerObject {
            agent: Rc::clone(self),
            jobs: jobs.clone(),
        }));
        // Held to the end, as the worker is registered only while it holds this.
        let joined = OnceCell::new();
        let taking = async {
            let joined = match self.join(&registration, worker).await {
                Ok(new) => joined.get_or_init(|| new),
                Err(error) => return self.refused(registration, &error).await,
            };
            tracing::info!("Registered as {:?}", self.config.name.as_str());
            self.config.vitals.set_link(Link::Registered);
            let activity = Activity::new(&joined.queue, &self.runner.is_paused);
            let _open = self.intake.open();
            let reason = tokio::select! {
                // First, so that a job that has arrived is started before the intake closes.
                biased;
                reason = self.take_jobs(&activity, &jobs, joined.keeps_jobs) => reason,
                reason = self.watch_fitness(&activity) => reason,
                reason = self.close_intake(&activity) => reason,
                never = self.report_pruned(&activity) => match never {},
            };
            tracing::warn!(
                "Worker loop failed (probably because queue connection failed): {}",
                Lines(&reason)
            );
            Ended::Failed(Failure::Lost, reason)
        };
        tokio::select! {
            biased;
            exit = self.exit_wanted() => {
                self.wind_down(exit, flushed).await;
                Ended::Exit(exit)
            }
            reason = lost => Ended::Failed(Failure::Lost, reason),
            ended = taking => ended,
        }
    }

    /// Explains why the scheduler refused the registration, and what to do about it.
    async fn refused(&self, service: Registration, error: &RpcError) -> Ended {
        let name = self.config.name.as_str();
        let cause = match error.kind {
            // It may be restarting.
            RpcErrorKind::Disconnected | RpcErrorKind::Overloaded => {
                return Ended::Failed(Failure::Lost, error.to_string());
            }
            RpcErrorKind::Unimplemented => match service.kind().await {
                Ok(kind) => {
                    format!(
                        "the cap file is {kind}; start this worker with the pool-NAME.cap of its pool"
                    )
                }
                Err(_) => error.to_string(),
            },
            _ if error.reason == ALREADY_REGISTERED => format!(
                "{error} Another worker of this name is connected; stop that one, or give this one another --name"
            ),
            _ => error.to_string(),
        };
        Ended::Refused(format!("cannot register worker {name:?}: {cause}"))
    }

    /// Takes jobs until that fails. Returns the reason.
    async fn take_jobs(
        self: &Rc<Self>,
        activity: &Activity<'_>,
        jobs: &ConnectionJobs,
        keeps_jobs: bool,
    ) -> String {
        let capacity = self.capacity();
        // The scheduler counts in the same way, so that a job has the same number in both logs.
        let mut nth = 0;
        loop {
            if self.intake.is_closing() {
                return std::future::pending().await;
            }
            if self.running.in_use() >= capacity {
                tracing::info!(
                    "At capacity. Waiting for a build to finish before requesting more..."
                );
            }
            self.running.room(capacity).await;
            if let Err(error) = self.ensure_room(activity).await {
                return error.to_string();
            }
            for fitness in &mut self.runner.fitness() {
                fit(fitness).await;
            }
            let load = self.running.load();
            tracing::info!(
                "Requesting a new job... ({} running{})",
                load.jobs,
                load.shown_use(capacity)
            );
            // The client may use the job before the description arrives.
            let job = Rc::new(ServedJob::new(JobLog::new(
                &self.log_dir,
                self.config.log_limit,
            )));
            let popped = match pop(activity.queue, Job::serve(Rc::clone(&job)), keeps_jobs).await {
                Ok(popped) => popped,
                Err(error) => return error.to_string(),
            };
            nth += 1;
            self.start(jobs, nth, job, popped);
        }
    }

    fn capacity(&self) -> u32 {
        self.config.capacity.value().unsigned_abs()
    }

    /// Starts a job in a task of its own.
    fn start(
        self: &Rc<Self>,
        jobs: &ConnectionJobs,
        nth: u64,
        job: Rc<ServedJob>,
        PoppedJob {
            description,
            attempt,
        }: PoppedJob<Result<Description, JobError>>,
    ) {
        job.log().start_clock();
        let attempt = attempt.as_ref().and_then(attempt_id);
        let hint = description.as_ref().map_or("", |job| &job.cache_hint);
        // The number distinguishes jobs with the same hint that run at the same time.
        let number = self.stats.jobs_accepted.get() + 1;
        let weight = self.config.job_weights.of(hint, self.capacity());
        let span = tracing::info_span!("job", number, nth, hint);
        let hint = shown_hint(hint);
        span.in_scope(|| {
            tracing::info!("Cache_hint {hint}");
            tracing::info!("Job weight {weight}");
            match attempt {
                Some(attempt) => {
                    tracing::info!("Durable job: {attempt}");
                    self.kept.begin(attempt, &job);
                }
                None => job.attach(),
            }
        });
        self.stats.jobs_accepted.set(number);
        let cancel = job.cancel_token().clone();
        let entry = jobs.insert(nth, cancel.clone());
        let mut slot = self.running.add(weight, self.capacity(), cancel);
        let agent = Rc::clone(self);
        let running = async move {
            agent.runner.run(&job, description, &mut slot).await;
            if let Some(attempt) = attempt {
                agent.kept.ended(attempt, &job).await;
            }
            drop((slot, entry));
        };
        tokio::task::spawn_local(running.instrument(span));
    }

    /// Ends the worker, if it is not ending already.
    fn end(&self, why: Exit) {
        self.exit.send_modify(|exit| {
            exit.get_or_insert(why);
        });
    }

    async fn exit_wanted(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        let wanted = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| *exit);
        match wanted {
            Some(exit) => exit,
            // The agent holds the sender, so the wait cannot end without one.
            None => std::future::pending().await,
        }
    }
}
