//! An overview of a pool for operators: who paused a worker and why, and the queued jobs by number.

use std::time::Duration;

use crate::RpcError;
use crate::details::millis;
use crate::raw::extensions_capnp::pool_control::{overview, pause, queued_job, worker_note};
use crate::text::{check_length, list_length, long_text, malformed, text};

/// The limit for the text about a pool, in bytes: that of a whole message.
pub(crate) const MAX_STATE_BYTES: usize = 64 << 20;

/// An overview of a pool. See [`PoolAdmin::overview`](crate::PoolAdmin::overview).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOverview {
    /// The state as text, with workers in natural order (`w2` before `w10`).
    pub state: String,
    /// The known workers, connected or not, in natural order.
    pub workers: Vec<WorkerNote>,
    /// The first queued jobs: those of the backlog, the next one first, then those in the queues of workers.
    pub queued: Vec<QueuedJob>,
    /// The number of queued jobs that are not listed.
    pub more: u32,
}

/// A worker, and who paused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerNote {
    /// Its name.
    pub name: String,
    /// The version of its program; `None` when it is not connected, or does not report it.
    pub version: Option<String>,
    /// The pause by an operator; `None` when there is none.
    pub pause: Option<Pause>,
}

/// An operator's pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// How long it has lasted.
    pub lasting: Duration,
    /// Who paused it, as the operator's program reported; empty when it did not.
    pub by: String,
    /// The reason; empty when none was given.
    pub note: String,
}

/// A job that no worker has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedJob {
    /// The number of its ticket, by which it can be cancelled.
    pub ticket: u64,
    /// The client that submitted it.
    pub client: String,
    /// Its cache hint, which may be any text; empty when it has none.
    pub cache_hint: String,
    /// Whether it is urgent.
    pub urgent: bool,
    /// How long it has waited.
    pub waiting: Duration,
    /// The worker whose queue it is in; `None` for the backlog.
    pub worker: Option<String>,
}

impl PoolOverview {
    pub(crate) fn read(reader: overview::Reader<'_>) -> Result<Self, RpcError> {
        let workers = reader
            .get_workers()
            .map_err(|error| malformed(&error, "workers"))?;
        let queued = reader
            .get_queued()
            .map_err(|error| malformed(&error, "queued"))?;
        check_length(reader.total_size(), workers.len(), "workers")?;
        check_length(reader.total_size(), queued.len(), "queued")?;
        Ok(Self {
            state: long_text(reader.get_state(), "state", MAX_STATE_BYTES)?,
            workers: workers
                .iter()
                .map(WorkerNote::read)
                .collect::<Result<_, _>>()?,
            queued: queued
                .iter()
                .map(QueuedJob::read)
                .collect::<Result<_, _>>()?,
            more: reader.get_more(),
        })
    }

    pub(crate) fn write(&self, mut builder: overview::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            state,
            workers,
            queued,
            more,
        } = self;
        builder.set_state(state);
        builder.set_more(*more);
        let length = list_length(workers, "workers")?;
        let mut list = builder.reborrow().init_workers(length);
        for (index, worker) in (0..).zip(workers) {
            worker.write(list.reborrow().get(index));
        }
        let mut list = builder.init_queued(list_length(queued, "queued")?);
        for (index, job) in (0..).zip(queued) {
            job.write(list.reborrow().get(index));
        }
        Ok(())
    }
}

impl WorkerNote {
    fn read(reader: worker_note::Reader<'_>) -> Result<Self, RpcError> {
        let pause = match reader.has_pause() {
            true => {
                let pause = reader.get_pause();
                Some(Pause::read(
                    pause.map_err(|error| malformed(&error, "pause"))?,
                )?)
            }
            false => None,
        };
        Ok(Self {
            name: text(reader.get_name(), "workers.name")?,
            version: non_empty(text(reader.get_version(), "workers.version")?),
            pause,
        })
    }

    fn write(&self, mut builder: worker_note::Builder<'_>) {
        let Self {
            name,
            version,
            pause,
        } = self;
        builder.set_name(name);
        builder.set_version(version.as_deref().unwrap_or_default());
        if let Some(pause) = pause {
            pause.write(builder.init_pause());
        }
    }
}

impl Pause {
    fn read(reader: pause::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            lasting: Duration::from_millis(reader.get_lasting()),
            by: text(reader.get_by(), "pause.by")?,
            note: text(reader.get_note(), "pause.note")?,
        })
    }

    fn write(&self, mut builder: pause::Builder<'_>) {
        let Self { lasting, by, note } = self;
        builder.set_lasting(millis(*lasting));
        builder.set_by(by);
        builder.set_note(note);
    }
}

impl QueuedJob {
    fn read(reader: queued_job::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            ticket: reader.get_ticket(),
            client: text(reader.get_client(), "queued.client")?,
            cache_hint: text(reader.get_cache_hint(), "queued.cacheHint")?,
            urgent: reader.get_urgent(),
            waiting: Duration::from_millis(reader.get_waiting()),
            worker: non_empty(text(reader.get_worker(), "queued.worker")?),
        })
    }

    fn write(&self, mut builder: queued_job::Builder<'_>) {
        let Self {
            ticket,
            client,
            cache_hint,
            urgent,
            waiting,
            worker,
        } = self;
        builder.set_ticket(*ticket);
        builder.set_client(client);
        builder.set_cache_hint(cache_hint);
        builder.set_urgent(*urgent);
        builder.set_waiting(millis(*waiting));
        builder.set_worker(worker.as_deref().unwrap_or_default());
    }
}

/// Returns the text, unless it is empty.
fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
