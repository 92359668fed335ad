//! What `ocluster-admin show` prints: pools, their workers, and what those run.

use schemars::JsonSchema;
use serde::Serialize;

use crate::explanation::{JobExplanation, WorkerExplanation};

/// The pools of a scheduler, with totals. Fields that an OCaml scheduler cannot report are null.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pools {
    /// Sorted by name.
    pub pools: Vec<Totals>,
}

/// The totals of a pool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Totals {
    /// The name of the pool.
    pub name: String,
    /// How many workers are known, connected or not.
    pub workers: usize,
    /// How many of them are connected.
    pub connected: usize,
    /// How many of those get no jobs, for any reason.
    pub inactive: usize,
    /// How many jobs all connected workers run at once.
    pub capacity: Option<u64>,
    /// How many jobs they run now.
    pub running: Option<usize>,
    /// How many jobs are queued, for any worker or for a certain one.
    pub queued: Option<u64>,
    /// How long the oldest of them has waited; 0 when there is none.
    pub oldest_wait_seconds: Option<f64>,
}

/// One pool. Fields that an OCaml scheduler cannot report are null.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pool {
    /// Its name.
    pub pool: String,
    /// Its state as text for people, as the OCaml scheduler prints it too.
    pub text: String,
    /// The workers that are known, connected or not, sorted by name.
    pub workers: Vec<Worker>,
    /// The queued jobs and their clients.
    pub queue: Option<Queue>,
}

/// The queued jobs of a pool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Queue {
    /// How many of them wait for any worker; more may be in the queues of workers.
    pub backlog: u32,
    /// How long the oldest job has waited that no worker has taken; 0 when there is none.
    pub oldest_wait_seconds: f64,
    /// The clients that have submitted jobs since the scheduler started, sorted by id.
    pub clients: Vec<Client>,
    /// The first queued jobs: those for any worker, the next one first, then those for certain workers. Ten, or all
    /// with `--all`.
    pub jobs: Vec<QueuedJob>,
    /// How many more jobs are queued.
    pub more: u32,
}

/// A job that no worker has taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueuedJob {
    /// The number of its ticket, by which `cancel` cancels it.
    pub ticket: u64,
    /// Its id in the history; null if the scheduler does not report it, and for all but the first 1,000 jobs.
    pub id: Option<String>,
    /// Who submitted it.
    pub client: String,
    /// Its cache hint; empty when it has none.
    pub cache_hint: String,
    /// Whether it is urgent.
    pub urgent: bool,
    /// How long it has waited.
    pub waiting_seconds: f64,
    /// The worker that it waits for; null if it waits for any.
    pub worker: Option<String>,
    /// Why it waits; null if the scheduler does not report it, and for all but the first 1,000 jobs.
    pub explanation: Option<JobExplanation>,
}

/// A client of a pool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Client {
    /// The name it was added under.
    pub id: String,
    /// Its share of the pool: how many jobs it is expected to run at once.
    pub rate: f64,
    /// How many of its jobs no worker has taken.
    pub queued: u32,
    /// How many of those are urgent.
    pub urgent: u32,
}

/// The answer about one worker.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OneWorker {
    /// Its pool.
    pub pool: String,
    /// The worker. If there is no such worker, the command fails.
    pub worker: Worker,
}

/// A worker. Fields that an OCaml scheduler cannot report are null.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Worker {
    /// The name it registers with.
    pub name: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether an operator has paused it, in either way.
    pub paused: bool,
    /// How many times it has registered since the scheduler started.
    pub registrations: Option<u64>,
    /// The version of its program; null if it is not connected, or not one of ours.
    pub version: Option<String>,
    /// Who paused it, and why; null if no operator has, or the scheduler does not know.
    pub pause: Option<Pause>,
    /// How long ago it disconnected; null if it is connected, or has not connected since the scheduler started.
    pub left_seconds: Option<f64>,
    /// Why it runs no more jobs; null if the scheduler does not report it.
    pub explanation: Option<WorkerExplanation>,
    /// More about it; null if it is not connected.
    pub connection: Option<Connection>,
}

/// An operator's pause.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Pause {
    /// Who paused it, as USER@HOST; empty if unknown. It is not verified.
    pub by: String,
    /// The reason; empty if none was given.
    pub note: String,
    /// How long ago that was.
    pub lasting_seconds: f64,
}

/// A worker that is connected.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Connection {
    /// For how long.
    pub registered_seconds: f64,
    /// Where it connects from.
    pub address: String,
    /// How many jobs it runs at once, as it reported.
    pub capacity: u32,
    /// Why it gets no jobs. Empty if it gets jobs.
    pub inactive: Vec<InactiveReason>,
    /// How long the scheduler has waited for an answer from it; 0 if it waits for none.
    pub silent_seconds: f64,
    /// How many jobs wait for this worker.
    pub queued: u32,
    /// The sum of their expected costs.
    pub workload_seconds: f64,
    /// How many jobs have ended on it since it connected, in any way.
    pub finished: u64,
    /// The jobs that it runs, the oldest first.
    pub running: Vec<Job>,
    /// Why it paused itself; empty if it has not, or gave no reason.
    pub pause_reasons: Vec<PauseReason>,
}

/// A reason why a worker pauses itself.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PauseReason {
    /// A word for programs: `docker`, `docker-disk`, `state-disk`, `obuilder`, `obuilder-store` or `shutting-down`;
    /// later versions may have more.
    pub kind: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it; empty when it ends by itself.
    pub advice: String,
}

/// Why a worker gets no jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InactiveReason {
    /// It paused itself, for example to free disk space.
    WorkerPause,
    /// An operator paused it, until it is unpaused.
    AdminPause,
    /// An operator paused it, until it reconnects.
    TemporaryPause,
    /// It is about to be updated.
    ShuttingDown,
    /// It is connected, but unresponsive.
    NotAnswering,
    /// A reason unknown to this version.
    Other,
}

/// A job that a worker runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Job {
    /// The number of its ticket, by which `cancel` cancels it, and which is also in the scheduler's log.
    pub ticket: u64,
    /// Who submitted it.
    pub client: String,
    /// Its cache hint; empty when it has none.
    pub cache_hint: String,
    /// Whether it is urgent.
    pub urgent: bool,
    /// How long ago the worker took it.
    pub running_seconds: f64,
}
