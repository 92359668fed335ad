//! Lists of durable jobs.

use std::fmt;
use std::time::Duration;

use super::request::{Label, read_labels, write_labels};
use crate::RpcError;
use crate::details::millis;
use crate::raw::extensions_capnp::durable_jobs::{State as RawState, list_results, query, summary};
use crate::text::{check_length, list_length, malformed, text};

/// The limit for the states in a query: there are seven.
const MAX_STATES: u32 = 7;

/// Which jobs to list: those that have all of what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Those with all of these labels.
    pub labels: Vec<Label>,
    /// Those in one of these states; in any, if there are none.
    pub states: Vec<JobState>,
    /// Those that were submitted at most so long ago.
    pub submitted_within: Option<Duration>,
    /// Those after the jobs of an earlier page: its [`next`](JobPage::next).
    pub before: Option<u64>,
    /// At most so many; `None` for the scheduler's default.
    pub at_most: Option<u32>,
}

/// The state of a job, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It succeeded.
    Succeeded,
    /// It ran, and failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It reached a limit.
    TimedOut,
    /// Its workers were lost.
    Lost,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Its id.
    pub id: String,
    /// The name of its pool.
    pub pool: String,
    /// Its kind: "docker", "obuilder", or that of a custom job.
    pub kind: String,
    /// Its labels.
    pub labels: Vec<Label>,
    /// Its state.
    pub state: JobState,
    /// How long ago it was submitted.
    pub submitted_ago: Duration,
    /// How long ago it began to wait, was given to a worker, or ended.
    pub changed_ago: Duration,
    /// The number of its attempts so far.
    pub attempts: u32,
    /// The worker of its latest attempt.
    pub worker: Option<String>,
}

/// Some jobs, the latest submission first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs. There may be fewer than were requested although more exist.
    pub jobs: Vec<JobSummary>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<u64>,
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
            Self::Lost => "lost",
        })
    }
}

impl JobState {
    fn read(state: Result<RawState, capnp::NotInSchema>) -> Result<Self, RpcError> {
        Ok(match state {
            Ok(RawState::Queued) => Self::Queued,
            Ok(RawState::Running) => Self::Running,
            Ok(RawState::Succeeded) => Self::Succeeded,
            Ok(RawState::Failed) => Self::Failed,
            Ok(RawState::Cancelled) => Self::Cancelled,
            Ok(RawState::TimedOut) => Self::TimedOut,
            Ok(RawState::Lost) => Self::Lost,
            Err(capnp::NotInSchema(tag)) => {
                return Err(RpcError::failed(format!("Unknown state {tag}")));
            }
        })
    }

    fn on_the_wire(self) -> RawState {
        match self {
            Self::Queued => RawState::Queued,
            Self::Running => RawState::Running,
            Self::Succeeded => RawState::Succeeded,
            Self::Failed => RawState::Failed,
            Self::Cancelled => RawState::Cancelled,
            Self::TimedOut => RawState::TimedOut,
            Self::Lost => RawState::Lost,
        }
    }
}

impl JobQuery {
    pub(crate) fn read(reader: query::Reader<'_>) -> Result<Self, RpcError> {
        let states = reader
            .get_states()
            .map_err(|error| malformed(&error, "states"))?;
        if states.len() > MAX_STATES {
            return Err(RpcError::failed(format!(
                "{} states, and the limit is {MAX_STATES}",
                states.len()
            )));
        }
        let within = Duration::from_millis(reader.get_submitted_within());
        Ok(Self {
            labels: read_labels(reader.get_labels(), reader.total_size())?,
            states: states
                .iter()
                .map(JobState::read)
                .collect::<Result<_, _>>()?,
            submitted_within: Some(within).filter(|within| !within.is_zero()),
            before: Some(reader.get_before()).filter(|before| *before != 0),
            at_most: Some(reader.get_at_most()).filter(|most| *most != 0),
        })
    }

    pub(crate) fn write(&self, mut builder: query::Builder<'_>) -> Result<(), RpcError> {
        let labels = builder
            .reborrow()
            .init_labels(list_length(&self.labels, "labels")?);
        write_labels(labels, &self.labels);
        let mut states = builder
            .reborrow()
            .init_states(list_length(&self.states, "states")?);
        for (index, state) in (0..).zip(&self.states) {
            states.set(index, state.on_the_wire());
        }
        builder.set_submitted_within(
            self.submitted_within
                .map_or(0, |within| millis(within).max(1)),
        );
        builder.set_before(self.before.unwrap_or(0));
        builder.set_at_most(self.at_most.unwrap_or(0));
        Ok(())
    }
}

impl JobPage {
    pub(crate) fn read(reader: list_results::Reader<'_>) -> Result<Self, RpcError> {
        let jobs = reader
            .get_jobs()
            .map_err(|error| malformed(&error, "jobs"))?;
        check_length(reader.total_size(), jobs.len(), "jobs")?;
        Ok(Self {
            jobs: jobs
                .iter()
                .map(JobSummary::read)
                .collect::<Result<_, _>>()?,
            next: Some(reader.get_next()).filter(|next| *next != 0),
        })
    }

    pub(crate) fn write(&self, mut builder: list_results::Builder<'_>) -> Result<(), RpcError> {
        builder.set_next(self.next.unwrap_or(0));
        let mut jobs = builder.init_jobs(list_length(&self.jobs, "jobs")?);
        for (index, job) in (0..).zip(&self.jobs) {
            job.write(jobs.reborrow().get(index))?;
        }
        Ok(())
    }
}

impl JobSummary {
    pub(super) fn read(reader: summary::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            id: text(reader.get_id(), "job.id")?,
            pool: text(reader.get_pool(), "job.pool")?,
            kind: text(reader.get_kind(), "job.kind")?,
            labels: read_labels(reader.get_labels(), reader.total_size())?,
            state: JobState::read(reader.get_state())?,
            submitted_ago: Duration::from_millis(reader.get_submitted_ago()),
            changed_ago: Duration::from_millis(reader.get_changed_ago()),
            attempts: reader.get_attempts(),
            worker: Some(text(reader.get_worker(), "job.worker")?)
                .filter(|worker| !worker.is_empty()),
        })
    }

    pub(super) fn write(&self, mut builder: summary::Builder<'_>) -> Result<(), RpcError> {
        builder.set_id(&self.id);
        builder.set_pool(&self.pool);
        builder.set_kind(&self.kind);
        let labels = builder
            .reborrow()
            .init_labels(list_length(&self.labels, "labels")?);
        write_labels(labels, &self.labels);
        builder.set_state(self.state.on_the_wire());
        builder.set_submitted_ago(millis(self.submitted_ago));
        builder.set_changed_ago(millis(self.changed_ago));
        builder.set_attempts(self.attempts);
        builder.set_worker(self.worker.as_deref().unwrap_or_default());
        Ok(())
    }
}
