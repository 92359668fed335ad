//! What the commands of `ocluster-admin` print.

use schemars::JsonSchema;
use serde::Serialize;

use super::Shape::{Lines, Object};
use super::audit::Audit;
use super::client::PageLink;
use super::jobs::{JobDetails, Jobs, LogPiece};
use super::kept_jobs::CancelledKeptJobs;
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
        of::<CancelledKeptJobs>("cancel --job", Object),
        of::<Jobs>("jobs", Object),
        of::<JobDetails>("job", Object),
        of::<LogPiece>("job-log", Lines),
        of::<WaitEvent>("update", Lines),
        of::<AddedClient>("add-client", Object),
        of::<RemovedClient>("remove-client", Object),
        of::<Clients>("list-clients", Object),
        of::<Rate>("set-rate", Object),
        of::<Forgotten>("forget", Object),
        of::<Executed>("exec", Object),
        of::<Audit>("audit", Object),
        of::<PageLink>("web", Object),
        of::<Schedulers>("schedulers", Object),
        of::<SteppedDown>("step-down", Object),
        of::<CopiedStore>("store copy", Object),
    ]
}

/// The workers that were paused or unpaused.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Paused {
    /// Their pool.
    pub(crate) pool: String,
    /// Whether they are paused now.
    pub(crate) paused: bool,
    /// Those that were changed.
    pub(crate) workers: Vec<String>,
    /// With `--all`, those that needed no change.
    pub(crate) already: Vec<String>,
}

/// The progress of a worker that is drained or updated.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum WaitEvent {
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
pub(crate) struct Cancelled {
    /// Their pool.
    pub(crate) pool: String,
    /// One for each number that was given.
    pub(crate) jobs: Vec<CancelledJob>,
}

/// A job that was cancelled.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct CancelledJob {
    /// The number of its ticket.
    pub(crate) ticket: u64,
    /// The worker that ran it; null when it was queued.
    pub(crate) worker: Option<String>,
}

/// The new client, and the secret that goes into its cap file.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AddedClient {
    /// The name of the client.
    pub(crate) client: String,
    /// The contents of its cap file: a secret, whose holder can submit jobs as this client.
    pub(crate) sturdy_ref: String,
}

/// The client that was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RemovedClient {
    /// The name it had.
    pub(crate) client: String,
}

/// The scheduler that leads, and its standbys.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Schedulers {
    /// The one that leads, which has answered.
    pub(crate) leader: Scheduler,
    /// The number of its lease, which grows whenever another scheduler leads; null if its state is in files, so that no
    /// other one can lead.
    pub(crate) lease: Option<u64>,
    /// Those that wait, or have waited within a day; those that looked at the lease last first.
    pub(crate) standbys: Vec<Standby>,
}

/// A scheduler.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Scheduler {
    /// Its process and its host.
    pub(crate) name: String,
    /// Where workers and clients connect to it.
    pub(crate) address: String,
}

/// A scheduler that waits.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Standby {
    /// Its process and its host.
    pub(crate) name: String,
    /// Where workers and clients connect to it when it leads.
    pub(crate) address: String,
    /// How many seconds ago it looked at the lease.
    pub(crate) looked_seconds_ago: f64,
    /// Whether it has looked within 5 seconds, so that it would lead at once.
    pub(crate) is_ready: bool,
    /// Whether it could connect to the leader.
    pub(crate) reaches_leader: bool,
}

/// The scheduler that does not lead any more.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SteppedDown {
    /// Its process and its host.
    pub(crate) leader: String,
}

/// The new share of a client of a pool.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rate {
    /// The pool.
    pub(crate) pool: String,
    /// The name of the client.
    pub(crate) client: String,
    /// How many jobs it is expected to run at once.
    pub(crate) rate: f64,
}

/// The workers that were forgotten.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Forgotten {
    /// Their pool.
    pub(crate) pool: String,
    /// Their names.
    pub(crate) workers: Vec<String>,
}

/// How a command ended for each worker. The exit code of `exec` is 1 if one of these is not 0.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Executed {
    /// The pool.
    pub(crate) pool: String,
    /// One for each worker.
    pub(crate) runs: Vec<Run>,
}

/// How a command ended for one worker.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Run {
    /// The worker's name.
    pub(crate) worker: String,
    /// The command's exit code; null when a signal ended it.
    pub(crate) exit_code: Option<i32>,
    /// Its standard output. U+FFFD replaces invalid UTF-8.
    pub(crate) output: String,
}

/// The clients that may submit jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Clients {
    /// Sorted by id.
    pub(crate) clients: Vec<Client>,
}

/// A client that may submit jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Client {
    /// The name it was added under.
    pub(crate) id: String,
}

/// The tables that were copied.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CopiedStore {
    /// All tables of the store.
    pub(crate) tables: Vec<CopiedStoreTable>,
}

/// A table that was copied.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CopiedStoreTable {
    /// Its name.
    pub(crate) table: String,
    /// How many rows were copied.
    pub(crate) rows: u64,
    /// How many rows were left out, as their texts are not UTF-8.
    pub(crate) left_out: u64,
}
