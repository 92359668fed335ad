//! Makes what is printed about pools from what a scheduler reports.

use cluster_api::{
    ConnectedWorker, InactiveReason as WireReason, Pause as WirePause, PoolDetails, Presence,
    QueuedJob as WireJob, RunningJob, WorkerDetails,
};

use crate::pools::{
    Client, Connection, InactiveReason, Job, Pause, PauseReason, Queue, QueuedJob, Worker,
};

impl QueuedJob {
    /// Returns a queued job, without why it waits.
    pub fn of(job: WireJob) -> Self {
        Self {
            ticket: job.ticket,
            id: None,
            client: job.client,
            cache_hint: job.cache_hint,
            urgent: job.urgent,
            waiting_seconds: job.waiting.as_secs_f64(),
            worker: job.worker,
            explanation: None,
        }
    }
}

impl Queue {
    /// Returns the queue of a pool, without its jobs.
    pub fn of(details: &PoolDetails) -> Self {
        let clients = details.clients.iter().map(|client| Client {
            id: client.id.clone(),
            rate: client.rate,
            queued: client.queued,
            urgent: client.urgent,
        });
        Self {
            backlog: details.backlog,
            oldest_wait_seconds: details.oldest_wait.as_secs_f64(),
            clients: clients.collect(),
            // An overview adds them.
            jobs: Vec::new(),
            more: 0,
        }
    }
}

impl Pause {
    /// Returns an operator's pause.
    pub fn of(pause: WirePause) -> Self {
        Self {
            by: pause.by,
            note: pause.note,
            lasting_seconds: pause.lasting.as_secs_f64(),
        }
    }
}

impl Worker {
    /// Returns a worker, without its version, its pause and why it runs no more jobs.
    pub fn of(worker: WorkerDetails) -> Self {
        let WorkerDetails {
            name,
            paused,
            registrations,
            presence,
        } = worker;
        let (left, connection) = match presence {
            Presence::NeverSeen => (None, None),
            Presence::Left(ago) => (Some(ago.as_secs_f64()), None),
            Presence::Connected(worker) => (None, Some(Connection::of(worker))),
        };
        let until_it_reconnects =
            |there: &Connection| there.inactive.contains(&InactiveReason::TemporaryPause);
        Self {
            name,
            connected: connection.is_some(),
            paused: paused || connection.as_ref().is_some_and(until_it_reconnects),
            registrations: Some(registrations),
            version: None,
            pause: None,
            left_seconds: left,
            explanation: None,
            connection,
        }
    }
}

impl Connection {
    /// Returns what is known of a worker that is connected.
    pub fn of(worker: ConnectedWorker) -> Self {
        let ConnectedWorker {
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
        } = worker;
        let pause_reasons = pause_reasons.into_iter().map(|reason| PauseReason {
            kind: reason.kind,
            problem: reason.problem,
            advice: reason.advice,
        });
        Self {
            registered_seconds: registered_for.as_secs_f64(),
            address,
            capacity,
            inactive: inactive.into_iter().map(InactiveReason::of).collect(),
            silent_seconds: silent_for.as_secs_f64(),
            queued,
            workload_seconds: workload.as_secs_f64(),
            finished,
            running: running.into_iter().map(Job::of).collect(),
            pause_reasons: pause_reasons.collect(),
        }
    }
}

impl InactiveReason {
    /// Returns why a worker gets no jobs.
    pub fn of(reason: WireReason) -> Self {
        match reason {
            WireReason::WorkerPause => Self::WorkerPause,
            WireReason::AdminPause => Self::AdminPause,
            WireReason::TemporaryPause => Self::TemporaryPause,
            WireReason::ShuttingDown => Self::ShuttingDown,
            WireReason::NotAnswering => Self::NotAnswering,
            WireReason::Other => Self::Other,
        }
    }
}

impl Job {
    /// Returns a job that a worker runs.
    pub fn of(job: RunningJob) -> Self {
        let RunningJob {
            ticket,
            client,
            cache_hint,
            urgent,
            running_for,
        } = job;
        Self {
            ticket,
            client,
            cache_hint,
            urgent,
            running_seconds: running_for.as_secs_f64(),
        }
    }
}
