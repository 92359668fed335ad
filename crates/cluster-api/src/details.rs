//! The details of a pool and its workers for operators, as data.

use std::fmt::Display;
use std::time::Duration;

use crate::pause_reason;
use crate::raw::extensions_capnp::pool_details::{
    self as raw, client, connected, details, job, worker,
};
use crate::text::{check_length, list_length, malformed, text};
use crate::{PauseReason, RpcError};

/// The state of a pool at one moment. See [`PoolAdmin::details`](crate::PoolAdmin::details).
#[derive(Debug, Clone, PartialEq)]
pub struct PoolDetails {
    /// The known workers, connected or not, in the order of their names.
    pub workers: Vec<WorkerDetails>,
    /// The number of tickets that wait for any worker.
    pub backlog: u32,
    /// The waiting time of the oldest ticket that no worker has taken; zero when there is none.
    pub oldest_wait: Duration,
    /// The clients that have submitted a job since the scheduler started, in the order of their ids.
    pub clients: Vec<ClientDetails>,
}

/// A known worker: one that has registered, and was not forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerDetails {
    /// The name it registers with.
    pub name: String,
    /// Whether an operator has paused it, with a pause that lasts across reconnects.
    pub paused: bool,
    /// The number of its registrations since the scheduler started.
    pub registrations: u64,
    /// Whether it is connected.
    pub presence: Presence,
}

/// Whether a worker is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It has not been connected since the scheduler started.
    NeverSeen,
    /// It disconnected this long ago.
    Left(Duration),
    /// It is registered now.
    Connected(ConnectedWorker),
}

/// A worker that is registered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedWorker {
    /// How long it has been registered.
    pub registered_for: Duration,
    /// Its address.
    pub address: String,
    /// The number of jobs that it runs at once, as it reported.
    pub capacity: u32,
    /// Why it gets no jobs. It gets jobs when this is empty.
    pub inactive: Vec<InactiveReason>,
    /// How long the scheduler has waited for an answer to its probe, and received nothing else from it; zero when it
    /// does not wait for one.
    pub silent_for: Duration,
    /// The number of tickets in its queue.
    pub queued: u32,
    /// The sum of their expected costs.
    pub workload: Duration,
    /// The number of jobs that have ended on it since it registered, successfully or not.
    pub finished: u64,
    /// The jobs that it runs, the oldest first.
    pub running: Vec<RunningJob>,
    /// Why it pauses itself, as it reported; empty when it does not, or did not report it.
    pub pause_reasons: Vec<PauseReason>,
}

/// Why a worker gets no jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InactiveReason {
    /// It paused itself, to make room for example.
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

/// A job that a worker has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningJob {
    /// The number of its ticket, which is also in the scheduler's log.
    pub ticket: u64,
    /// The client that submitted it.
    pub client: String,
    /// Its cache hint, which may be any text; empty when it has none.
    pub cache_hint: String,
    /// Whether it was urgent.
    pub urgent: bool,
    /// How long ago the worker took it.
    pub running_for: Duration,
}

/// A client of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientDetails {
    /// Its id.
    pub id: String,
    /// Its share of the pool.
    pub rate: f64,
    /// The number of its tickets that no worker has taken, urgent or not.
    pub queued: u32,
    /// The number of urgent ones among them.
    pub urgent: u32,
}

impl PoolDetails {
    pub(crate) fn read(reader: details::Reader<'_>) -> Result<Self, RpcError> {
        let (workers, clients) = (reader.get_workers(), reader.get_clients());
        let workers = workers.map_err(|error| malformed(&error, "workers"))?;
        let clients = clients.map_err(|error| malformed(&error, "clients"))?;
        check_length(reader.total_size(), workers.len(), "workers")?;
        check_length(reader.total_size(), clients.len(), "clients")?;
        let workers = workers.iter().enumerate();
        let clients = clients.iter().enumerate();
        Ok(Self {
            workers: workers
                .map(|(index, worker)| {
                    WorkerDetails::read(worker, format_args!("workers[{index}]"))
                })
                .collect::<Result<_, _>>()?,
            backlog: reader.get_backlog(),
            oldest_wait: Duration::from_millis(reader.get_oldest_wait()),
            clients: clients
                .map(|(index, client)| ClientDetails::read(client, index))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn write(&self, mut builder: details::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            workers,
            backlog,
            oldest_wait,
            clients,
        } = self;
        builder.set_backlog(*backlog);
        builder.set_oldest_wait(millis(*oldest_wait));
        let length = list_length(workers, "workers")?;
        let mut list = builder.reborrow().init_workers(length);
        for (index, worker) in (0..).zip(workers) {
            worker.write(list.reborrow().get(index))?;
        }
        let mut list = builder.init_clients(list_length(clients, "clients")?);
        for (index, client) in (0..).zip(clients) {
            client.write(list.reborrow().get(index));
        }
        Ok(())
    }
}

impl WorkerDetails {
    pub(crate) fn read(reader: worker::Reader<'_>, field: impl Display) -> Result<Self, RpcError> {
        Ok(Self {
            name: text(reader.get_name(), format_args!("{field}.name"))?,
            paused: reader.get_paused(),
            registrations: reader.get_registrations(),
            presence: match reader.which() {
                Ok(worker::NeverSeen(())) => Presence::NeverSeen,
                Ok(worker::Left(ago)) => Presence::Left(Duration::from_millis(ago)),
                Ok(worker::Connected(connected)) => {
                    let connected = connected
                        .map_err(|error| malformed(&error, format_args!("{field}.connected")))?;
                    Presence::Connected(ConnectedWorker::read(connected, field)?)
                }
                Err(capnp::NotInSchema(tag)) => {
                    return Err(RpcError::failed(format!("Unknown kind of presence {tag}")));
                }
            },
        })
    }

    pub(crate) fn write(&self, mut builder: worker::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            name,
            paused,
            registrations,
            presence,
        } = self;
        builder.set_name(name);
        builder.set_paused(*paused);
        builder.set_registrations(*registrations);
        match presence {
            Presence::NeverSeen => builder.set_never_seen(()),
            Presence::Left(ago) => builder.set_left(millis(*ago)),
            Presence::Connected(worker) => return worker.write(builder.init_connected()),
        }
        Ok(())
    }
}

impl ConnectedWorker {
    fn read(reader: connected::Reader<'_>, field: impl Display) -> Result<Self, RpcError> {
        let reasons = reader
            .get_inactive()
            .map_err(|error| malformed(&error, format_args!("{field}.inactive")))?;
        let running = reader
            .get_running()
            .map_err(|error| malformed(&error, format_args!("{field}.running")))?;
        let size = reader.total_size();
        check_length(size, running.len(), format_args!("{field}.running"))?;
        let running = running.iter().enumerate();
        Ok(Self {
            registered_for: Duration::from_millis(reader.get_registered_for()),
            address: text(reader.get_address(), format_args!("{field}.address"))?,
            capacity: reader.get_capacity(),
            inactive: reasons.iter().map(InactiveReason::of).collect(),
            silent_for: Duration::from_millis(reader.get_silent_for()),
            queued: reader.get_queued(),
            workload: Duration::from_millis(reader.get_workload()),
            finished: reader.get_finished(),
            running: running
                .map(|(index, job)| RunningJob::read(job, format_args!("{field}.running[{index}]")))
                .collect::<Result<_, _>>()?,
            pause_reasons: pause_reason::read(
                reader.get_pause_reasons(),
                reader.total_size(),
                format_args!("{field}.pauseReasons"),
            )?,
        })
    }

    fn write(&self, mut builder: connected::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            registered_for,
            address,
            capacity,
            inactive,
            silent_for,
            queued,
            workload,
            finished,
            running,
            pause_reasons,
        } = self;
        builder.set_registered_for(millis(*registered_for));
        builder.set_address(address);
        builder.set_capacity(*capacity);
        builder.set_silent_for(millis(*silent_for));
        builder.set_queued(*queued);
        builder.set_workload(millis(*workload));
        builder.set_finished(*finished);
        let known = || inactive.iter().filter_map(|reason| reason.to_raw());
        let length = list_length(&known().collect::<Vec<_>>(), "inactive")?;
        let mut list = builder.reborrow().init_inactive(length);
        for (index, reason) in (0..).zip(known()) {
            list.set(index, reason);
        }
        let length = list_length(pause_reasons, "pauseReasons")?;
        pause_reason::write(builder.reborrow().init_pause_reasons(length), pause_reasons);
        let mut list = builder.init_running(list_length(running, "running")?);
        for (index, job) in (0..).zip(running) {
            job.write(list.reborrow().get(index));
        }
        Ok(())
    }
}

impl InactiveReason {
    fn of(reason: Result<raw::InactiveReason, capnp::NotInSchema>) -> Self {
        match reason {
            Ok(raw::InactiveReason::WorkerPause) => Self::WorkerPause,
            Ok(raw::InactiveReason::AdminPause) => Self::AdminPause,
            Ok(raw::InactiveReason::TemporaryPause) => Self::TemporaryPause,
            Ok(raw::InactiveReason::ShuttingDown) => Self::ShuttingDown,
            Ok(raw::InactiveReason::NotAnswering) => Self::NotAnswering,
            Err(capnp::NotInSchema(_)) => Self::Other,
        }
    }

    fn to_raw(self) -> Option<raw::InactiveReason> {
        match self {
            Self::WorkerPause => Some(raw::InactiveReason::WorkerPause),
            Self::AdminPause => Some(raw::InactiveReason::AdminPause),
            Self::TemporaryPause => Some(raw::InactiveReason::TemporaryPause),
            Self::ShuttingDown => Some(raw::InactiveReason::ShuttingDown),
            Self::NotAnswering => Some(raw::InactiveReason::NotAnswering),
            Self::Other => None,
        }
    }
}

impl RunningJob {
    fn read(reader: job::Reader<'_>, field: impl Display) -> Result<Self, RpcError> {
        Ok(Self {
            ticket: reader.get_ticket(),
            client: text(reader.get_client(), format_args!("{field}.client"))?,
            cache_hint: text(reader.get_cache_hint(), format_args!("{field}.cacheHint"))?,
            urgent: reader.get_urgent(),
            running_for: Duration::from_millis(reader.get_running_for()),
        })
    }

    fn write(&self, mut builder: job::Builder<'_>) {
        let Self {
            ticket,
            client,
            cache_hint,
            urgent,
            running_for,
        } = self;
        builder.set_ticket(*ticket);
        builder.set_client(client);
        builder.set_cache_hint(cache_hint);
        builder.set_urgent(*urgent);
        builder.set_running_for(millis(*running_for));
    }
}

impl ClientDetails {
    fn read(reader: client::Reader<'_>, index: usize) -> Result<Self, RpcError> {
        Ok(Self {
            id: text(reader.get_id(), format_args!("clients[{index}].id"))?,
            rate: reader.get_rate(),
            queued: reader.get_queued(),
            urgent: reader.get_urgent(),
        })
    }

    fn write(&self, mut builder: client::Builder<'_>) {
        let Self {
            id,
            rate,
            queued,
            urgent,
        } = self;
        builder.set_id(id);
        builder.set_rate(*rate);
        builder.set_queued(*queued);
        builder.set_urgent(*urgent);
    }
}

/// Returns a duration as it is on the wire.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
