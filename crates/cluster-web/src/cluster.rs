//! What the pages ask a scheduler for.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cluster_api::{
    AdminJobQuery, AuditPage, AuditQuery, DurableLogChunk, DurableOutcome, Explanation, JobDetails,
    JobSummary, Label, LogTime, Phase, PoolDetails, QueuedJob, WorkerNote,
};
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::access::Holder;

/// What a scheduler will answer.
pub type Answer<T> = BoxFuture<'static, Result<T, ClusterError>>;

/// Why a scheduler does not answer as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// There is no such pool, worker or job.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The scheduler is shutting down, or has too much to do.
    #[error("{0}")]
    Unavailable(String),
}

/// A pool at one moment. It is shared by all that ask within a second.
#[derive(Debug)]
pub struct PoolState {
    /// The name of the pool.
    pub name: String,
    /// Its workers and clients.
    pub details: PoolDetails,
    /// The version of each worker, and who paused it, in natural order.
    pub notes: Vec<WorkerNote>,
    /// The first queued jobs: those of the backlog, the next one first, then those in the queues of workers.
    pub queued: Vec<QueuedJob>,
    /// How many more jobs are queued.
    pub more: u32,
    /// What is kept of queued and running jobs, by the numbers of their tickets.
    pub notes_of: HashMap<u64, TicketNote>,
    /// Why no worker takes jobs; `None` if one does.
    pub obstacle: Option<String>,
    /// Why queued jobs wait, by the numbers of their tickets.
    pub explanations: HashMap<u64, Explanation>,
    /// Why workers run no more jobs, by their names.
    pub worker_explanations: HashMap<String, Explanation>,
    /// The jobs of the last hour.
    pub recent: Recent,
    /// What it did of late; empty as long as that is not known.
    pub activity: Arc<Activity>,
    /// The disks of the workers that report them, by the names of the workers.
    pub disks: HashMap<String, Vec<Disk>>,
}

/// What a pool did of late, from the history: of the latest few thousand jobs, if there were more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// For how long workers ran jobs of each client within the last 24 hours.
    pub served: BTreeMap<String, Duration>,
    /// The last jobs of each worker.
    pub workers: HashMap<String, LastJobs>,
}

/// How the last jobs of a worker ended: 20 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastJobs {
    /// How many there are.
    pub ended: u32,
    /// How many of them did not succeed by the job's fault or the worker's.
    pub failed: u32,
    /// When the latest ended.
    pub latest: SystemTime,
}

/// A disk of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    /// What is on it, such as `docker`.
    pub name: Arc<str>,
    /// How much of it is free, from 0 to 1.
    pub free: f64,
}

/// What is remembered of a worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerPast {
    /// Its last registrations, the latest first.
    pub registrations: Vec<PastRegistration>,
    /// What it reported within the last 24 hours, the latest last.
    pub readings: Vec<Reading>,
}

/// A registration of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRegistration {
    /// How long ago it began.
    pub began: Duration,
    /// How long it lasted, and how it ended; `None` if it has not.
    pub end: Option<(Duration, String)>,
    /// Where the worker connected from.
    pub address: String,
}

/// What a worker reported of its machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// How long ago.
    pub ago: Duration,
    /// How many processes ran or waited for a processor, for each processor; `None` if it was not reported.
    pub load: Option<f64>,
    /// How much of its capacity its jobs used, from 0 to 1; `None` if it was not reported.
    pub jobs: Option<f64>,
    /// Its disks.
    pub disks: Vec<Disk>,
}

/// What is kept of a job that has a ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketNote {
    /// The id of the job.
    pub id: String,
    /// Its labels; empty as long as they are not known.
    pub labels: Vec<Label>,
    /// How long such a job usually takes on its worker; `None` as long as that is not known.
    pub usual: Option<Duration>,
}

/// Which jobs of the history to return: those that have all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobsQuery {
    /// What operators can ask for.
    pub admin: AdminJobQuery,
    /// Those with this cache hint.
    pub hint: Option<String>,
    /// Those whose latest attempt was on this worker.
    pub worker: Option<String>,
}

/// Jobs of the history, the latest submission first.
#[derive(Clone, Debug, Default)]
pub struct FoundJobs {
    /// The jobs.
    pub jobs: Vec<FoundJob>,
    /// What to ask for to get those before; `None` if there are none.
    pub next: Option<u64>,
}

/// A job of the history.
#[derive(Clone, Debug)]
pub struct FoundJob {
    /// What lists have of it.
    pub summary: JobSummary,
    /// The client that submitted it.
    pub client: String,
    /// How it ended; `None` while it has not.
    pub outcome: Option<DurableOutcome>,
    /// How long its latest attempt took; `None` if that has not ended.
    pub ran: Option<Duration>,
    /// Whether its worker had run a job with the same hint before; `None` if that is not known. It is found out only if
    /// jobs of a hint are asked for.
    pub is_warm: Option<bool>,
}

impl From<AdminJobQuery> for JobsQuery {
    fn from(admin: AdminJobQuery) -> Self {
        Self {
            admin,
            ..Self::default()
        }
    }
}

/// What became of the jobs that were submitted to a pool within the last hour: of the latest thousand, if there were
/// more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// How many succeeded.
    pub succeeded: u32,
    /// How many failed, or exceeded a time limit.
    pub failed: u32,
    /// How many were lost with their workers.
    pub lost: u32,
    /// Half of those that began waited for less than this; `None` if none has begun.
    pub median_wait: Option<Duration>,
}

/// What was submitted, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submitted {
    /// What is to be run.
    pub what: Work,
    /// The repository that is the job's source; empty for none.
    pub repository: String,
    /// Its commits, of which the first is checked out and the others are merged.
    pub commits: Vec<String>,
    /// Whether submodules are fetched, too.
    pub has_submodules: bool,
    /// The ids of the secrets.
    pub secrets: Vec<String>,
}

/// What a job runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// It is not known.
    #[default]
    Unknown,
    /// A Dockerfile.
    Docker {
        /// Its text; `None` if it is a file of the source.
        dockerfile: Option<String>,
        /// Its path in the source; `None` if its text was sent.
        path: Option<String>,
        /// Options of the build, as flags of `ocluster-client`.
        options: Vec<String>,
        /// Where the image is pushed to; `None` if it is not.
        push_to: Option<String>,
    },
    /// An OBuilder spec.
    OBuilder {
        /// Its text.
        spec: String,
    },
    /// A custom job.
    Custom {
        /// Its kind.
        kind: String,
        /// How large its payload is, in bytes.
        payload_bytes: u64,
    },
}

/// Whom a link was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// Whom it was for.
    pub holder: Holder,
    /// The address of the page that it led to.
    pub page: String,
}

/// A piece of a log, read without waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPiece {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How long the log is so far.
    pub length: u64,
    /// Whether the log is complete.
    pub is_complete: bool,
}

/// Something that a visitor does. It is checked before, and recorded as what the same person does in a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Cancels a job.
    Cancel {
        /// Its id.
        job: String,
    },
    /// Submits a job again.
    Retry {
        /// The id of the job that ended.
        job: String,
    },
    /// Pauses a worker.
    Pause {
        /// Its pool.
        pool: String,
        /// Its name.
        worker: String,
        /// Why.
        note: String,
    },
    /// Ends a pause.
    Unpause {
        /// The pool of the worker.
        pool: String,
        /// The name of the worker.
        worker: String,
    },
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Whose capability it is.
    pub holder: Holder,
    /// Where the browser connects from.
    pub address: String,
}

/// A scheduler, as the pages see it. Everything is plain data; nothing of it depends on the visitor: what a visitor may
/// see is decided in [`access`](crate::access).
pub trait Cluster: Send + Sync + 'static {
    /// Uses up the secret of a link, and returns whom it is for; `None` if there is no such link any more.
    fn redeem(&self, secret: String) -> Answer<Option<Redeemed>>;

    /// Returns whether a holder still has the capability that the link was made with.
    fn is_current(&self, holder: &Holder) -> Answer<bool>;

    /// Returns whether there is a client of this name.
    fn is_client(&self, name: String) -> Answer<bool>;

    /// Returns all pools, sorted by name.
    fn pools(&self) -> Answer<Vec<Arc<PoolState>>>;

    /// Returns the names of all pools, in their order.
    fn pool_names(&self) -> Vec<String>;

    /// Returns a pool.
    fn pool(&self, name: String) -> Answer<Arc<PoolState>>;

    /// Returns the cache hints of the jobs that a worker has run: the first hundred in their order.
    fn cached(&self, pool: String, worker: String) -> Answer<Vec<String>>;

    /// Returns what is remembered of a worker; nothing if it is not known.
    fn worker_past(&self, pool: String, worker: String) -> Answer<WorkerPast>;

    /// Returns jobs, the latest submission first.
    fn jobs(&self, query: JobsQuery) -> Answer<FoundJobs>;

    /// Returns the job of this id, or whose id alone begins like this.
    fn job(&self, id: String) -> Answer<JobDetails>;

    /// Returns what was submitted; `None` if it is not kept any more.
    fn submitted(&self, id: String) -> Answer<Option<Submitted>>;

    /// Returns why a job waits, or that it does not.
    fn explain(&self, id: String) -> Answer<Explanation>;

    /// Returns the phases of an attempt, in the order in which they began.
    fn timeline(&self, id: String, attempt: u32) -> Answer<Vec<Phase>>;

    /// Returns the times of a part of a log, as far as they are known.
    fn log_times(&self, id: String, attempt: u32, part: Range<u64>) -> Answer<Vec<LogTime>>;

    /// Returns the same, but waits for a few seconds for those of what was written just now.
    fn next_log_times(&self, id: String, attempt: u32, part: Range<u64>) -> Answer<Vec<LogTime>>;

    /// Reads at most so many bytes of the log of an attempt, without waiting for more.
    fn log_piece(&self, id: String, attempt: u32, start: u64, at_most: usize) -> Answer<LogPiece>;

    /// Reads the log of an attempt, and waits until there is more. No bytes are its end.
    fn follow_log(&self, id: String, attempt: u32, start: u64) -> Answer<DurableLogChunk>;

    /// Waits until the state of a job is not the one of this version any more, and returns the new version; `None`
    /// when it has ended.
    fn job_changed(&self, id: String, version: Option<u64>) -> Answer<Option<u64>>;

    /// Returns what operators did, the latest first.
    fn audit(&self, query: AuditQuery) -> Answer<AuditPage>;

    /// Does something, and returns the id of the job that it is about, or nothing.
    fn act(&self, actor: Actor, action: Action) -> Answer<String>;

    /// Returns why there is no page at all; `None` if there are pages. It is asked for each, and told to everybody.
    fn unavailable(&self) -> Option<ClusterError> {
        None
    }

    /// Returns a signal that changes, at most once a second, when something happens in a pool; `None` if there is no
    /// such pool. Without a name: in any pool.
    fn changes(&self, pool: Option<&str>) -> Option<watch::Receiver<u64>>;
}
