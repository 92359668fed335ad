//! What the commands of `ocluster-admin` print.

use schemars::JsonSchema;
use serde::Serialize;

use super::Shape::{Lines, Object};
use super::pools::{OneWorker, Pool, Pools};
use super::{Output, Shape};

const PROGRAM: &str = "ocluster-admin";

/// Returns what each command prints.
pub(super) fn schemas() -> Vec<Output> {
    fn of<T: JsonSchema>(command: &'static str, shape: Shape) -> Output {
        Output::new::<T>(PROGRAM, command, shape)
    }
    vec![
        of::<Pools>("show", Object),
        of::<Pool>("show POOL", Object),
        of::<OneWorker>("show POOL WORKER", Object),
        of::<Paused>("pause", Object),
        of::<WaitEvent>("pause --wait", Lines),
        of::<Paused>("unpause", Object),
        of::<Paused>("pause-worker", Object),
        of::<Paused>("unpause-worker", Object),
        of::<WaitEvent>("drain", Lines),
        of::<Cancelled>("cancel", Object),
        of::<WaitEvent>("update", Lines),
        of::<AddedClient>("add-client", Object),
        of::<RemovedClient>("remove-client", Object),
        of::<Clients>("list-clients", Object),
        of::<Rate>("set-rate", Object),
        of::<Forgotten>("forget", Object),
        of::<Executed>("exec", Object),
    ]
}

/// The workers that were paused or unpaused.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Paused {
    /// Their pool.
    pub pool: String,
    /// Whether they are paused now.
    pub paused: bool,
    /// Those that were changed.
    pub workers: Vec<String>,
    /// With `--all`, those that needed no change.
    pub already: Vec<String>,
}

/// The progress of a worker that is drained or updated.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WaitEvent {
    /// A worker is not done yet.
    Waiting {
        /// Its name.
        worker: String,
        /// The scheduler's report about it, for people.
        status: String,
        /// How many jobs it still runs; null if the status is about something else.
        running_jobs: Option<u32>,
    },
    /// A worker is done: it runs nothing and stays paused, or has come back after its update.
    Done {
        /// Its name.
        worker: String,
    },
    /// A worker failed.
    Failed {
        /// Its name.
        worker: String,
        /// Why.
        message: String,
    },
    /// A worker was skipped, as it is not connected.
    Skipped {
        /// Its name.
        worker: String,
    },
}

/// The jobs that were cancelled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cancelled {
    /// Their pool.
    pub pool: String,
    /// One for each number that was given.
    pub jobs: Vec<CancelledJob>,
}

/// A job that was cancelled.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CancelledJob {
    /// The number of its ticket.
    pub ticket: u64,
    /// The worker that ran it; null when it was queued.
    pub worker: Option<String>,
}

/// The new client, and the secret that goes into its cap file.
#[derive(Serialize, JsonSchema)]
pub struct AddedClient {
    /// The name of the client.
    pub client: String,
    /// The contents of its cap file: a secret, with which anybody can submit jobs in its name.
    pub sturdy_ref: String,
}

/// The client that was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RemovedClient {
    /// The name it had.
    pub client: String,
}

/// The new share of a client of a pool.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rate {
    /// The pool.
    pub pool: String,
    /// The name of the client.
    pub client: String,
    /// How many jobs it is expected to run at once.
    pub rate: f64,
}

/// The workers that were forgotten.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Forgotten {
    /// Their pool.
    pub pool: String,
    /// Their names.
    pub workers: Vec<String>,
}

/// How a command ended for each worker. The exit code of `exec` is 1 if one of these is not 0.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Executed {
    /// The pool.
    pub pool: String,
    /// One for each worker.
    pub runs: Vec<Run>,
}

/// How a command ended for one worker.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Run {
    /// The worker's name.
    pub worker: String,
    /// The command's exit code; null when a signal ended it.
    pub exit_code: Option<i32>,
    /// Its standard output. U+FFFD replaces invalid UTF-8.
    pub output: String,
}

/// The clients that may submit jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Clients {
    /// Sorted by id.
    pub clients: Vec<Client>,
}

/// A client that may submit jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Client {
    /// The name it was added under.
    pub id: String,
}
