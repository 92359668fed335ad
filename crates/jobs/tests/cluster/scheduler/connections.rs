//! What clients and workers ask, and how their connections end.

use jobs::{
    CancelledBy, Departure, Held, HeldState, JobId, NewJob, ReturnTimeouts, Terms, Unwatched,
};
use pool::{CacheHint, Capacity, InactiveReason, WorkerName};

use std::num::NonZeroU8;
use std::time::Duration;

use super::{POOL, Process, Reader, Request, Scheduler, Watcher};
use crate::cluster::events::Party;
use crate::cluster::fault::ClusterFault;
use crate::cluster::message::{FromClient, FromWorker, Message, ToClient};
use crate::cluster::network::{ConnectionId, Side};
use crate::cluster::process::Context;

impl Scheduler {
    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        if let Some(process) = &mut self.process {
            process.connections.entry(connection).or_default();
        }
    }

    pub(crate) fn receive(
        &mut self,
        context: &mut Context<'_>,
        connection: ConnectionId,
        message: Message,
    ) {
        if self.process.as_ref().is_none_or(|process| process.drains) {
            return;
        }
        self.peer_heard(context);
        match message {
            Message::FromClient(message) => self.client_asks(context, connection, message),
            Message::FromWorker(message) => self.worker_asks(context, connection, message),
            Message::ToClient(_) | Message::ToWorker(_) => {}
        }
        self.perform(context);
    }

    fn client_asks(
        &mut self,
        context: &mut Context<'_>,
        connection: ConnectionId,
        message: FromClient,
    ) {
        if !context.database.reaches(self.which) {
            if let Some(process) = &mut self.process {
                process.parked.push((connection, message));
            }
            return;
        }
        match message {
            FromClient::Submit {
                wish,
                client,
                key,
                terms,
            } => {
                self.last_id += 1;
                let new = NewJob {
                    id: JobId::from_bits(self.last_id),
                    client,
                    pool: POOL.into(),
                    hint: CacheHint::new(["", "a", "b"][terms % 3]),
                    urgent: terms.is_multiple_of(5),
                    key: Some(key),
                    terms: some_terms(terms),
                };
                self.submit(context, connection, wish, new);
            }
            FromClient::Find { wish, job } => {
                if self.knows(context, job) {
                    self.watched(connection, job);
                    reply(context, connection, ToClient::Found { wish, job });
                } else {
                    reply(context, connection, ToClient::Unknown { job });
                }
            }
            FromClient::Watch { wish, job, version } => {
                if let Some(process) = &mut self.process {
                    process.watchers.push(Watcher {
                        connection,
                        wish,
                        job,
                        version,
                    });
                }
                self.answer_watchers(context);
            }
            FromClient::ReadLog {
                wish,
                attempt,
                start,
            } => self.read_log(
                context,
                Reader {
                    connection,
                    wish,
                    attempt,
                    start,
                },
            ),
            FromClient::Cancel { job } => self.cancel(context, connection, job),
        }
    }

    fn cancel(&mut self, context: &Context<'_>, connection: ConnectionId, job: JobId) {
        let Some(process) = &mut self.process else {
            return;
        };
        let request = process.request(Request::Cancel { connection });
        let cancelled = process
            .jobs
            .cancel(context.now, job, CancelledBy::Client, request);
        if cancelled.is_err() {
            process.requests.remove(&request);
        }
    }

    fn submit(
        &mut self,
        context: &mut Context<'_>,
        connection: ConnectionId,
        wish: usize,
        new: NewJob,
    ) {
        let Some(process) = &mut self.process else {
            return;
        };
        let key = new.key.clone();
        let known = key
            .as_ref()
            .and_then(|key| process.jobs.with_key(&new.client, key));
        let ended = key
            .as_ref()
            .and_then(|key| context.database.disk.with_key(&new.client, key));
        if let (None, Some(job)) = (known, ended) {
            self.watched(connection, job);
            reply(context, connection, ToClient::Accepted { wish, job });
            return;
        }
        let request = process.request(Request::Submit { connection, wish });
        let job = process.jobs.submit(context.now, new, request);
        if let Some(connection) = process.connections.get_mut(&connection) {
            connection.watches.push(job);
        }
    }

    fn knows(&self, context: &Context<'_>, job: JobId) -> bool {
        let live = self
            .process
            .as_ref()
            .and_then(|process| process.jobs.stage(job));
        live.is_some() || context.database.disk.row(job).is_some()
    }

    /// Answers what clients asked while the database could not be read.
    pub(super) fn ask_again(&mut self, context: &mut Context<'_>) {
        if let Some(process) = &mut self.process
            && !process.drains
            && !process.parked.is_empty()
            && context.database.reaches(self.which)
        {
            for (connection, message) in std::mem::take(&mut process.parked) {
                self.client_asks(context, connection, message);
            }
            self.perform(context);
        }
    }

    fn watched(&mut self, connection: ConnectionId, job: JobId) {
        if let Some(process) = &mut self.process {
            process.jobs.watch(job);
            if let Some(connection) = process.connections.get_mut(&connection) {
                connection.watches.push(job);
            }
        }
    }

    /// Answers those who wait for what watchers see by now.
    pub(super) fn answer_watchers(&mut self, context: &mut Context<'_>) {
        let Some(process) = &mut self.process else {
            return;
        };
        if !context.database.reaches(self.which) {
            return;
        }
        let watchers = std::mem::take(&mut process.watchers);
        for watcher in watchers {
            let Watcher {
                connection,
                wish,
                job,
                version,
            } = watcher;
            let live = process.jobs.stage(job).is_some();
            let row = context.database.disk.row(job);
            let (latest, outcome) = match process.shown.get(&job) {
                Some((latest, _)) if live => (*latest, None),
                None if live => (0, None),
                _ => match row.and_then(|row| row.outcome.clone()) {
                    Some(outcome) => (u64::MAX, Some(outcome)),
                    None => (0, None),
                },
            };
            let attempt = row.map_or(0, |row| row.saved.attempts);
            if outcome.is_none() && latest <= version && version > 0 {
                process.watchers.push(watcher);
                continue;
            }
            if outcome.is_none() && latest == 0 {
                process.watchers.push(watcher);
                continue;
            }
            let status = ToClient::Status {
                wish,
                version: latest,
                attempt,
                outcome,
            };
            reply(context, connection, status);
        }
    }

    fn worker_asks(
        &mut self,
        context: &mut Context<'_>,
        connection: ConnectionId,
        message: FromWorker,
    ) {
        match message {
            FromWorker::Rejoin {
                name,
                survives,
                held,
            } => self.rejoin(context, connection, (name, survives), held),
            FromWorker::Pop => {
                let Some(process) = &mut self.process else {
                    return;
                };
                let worker = process.connections.get(&connection);
                let Some((_, id, _)) = worker.and_then(|worker| worker.worker.clone()) else {
                    return;
                };
                if let Ok(pop) = process.pool.pop(id) {
                    process.pops.insert(pop, connection);
                }
            }
            FromWorker::Log {
                attempt,
                start,
                bytes,
                is_complete,
            } => self.log_arrived(context, connection, (attempt, start), &bytes, is_complete),
            FromWorker::End { attempt, end } => self.end_arrived(context, connection, attempt, end),
        }
    }

    fn rejoin(
        &mut self,
        context: &mut Context<'_>,
        connection: ConnectionId,
        (name, survives): (WorkerName, bool),
        held: Vec<Held>,
    ) {
        let replaced = self
            .process
            .as_ref()
            .and_then(|process| process.registered.get(&name));
        if let Some(replaced) = replaced.copied() {
            context.oracle.count("replaced connection");
            self.unregister(context, replaced);
        }
        let Some(process) = &mut self.process else {
            return;
        };
        let Ok(id) = process.pool.register(name.clone(), Capacity::new(2)) else {
            context.oracle.broken(format!("{name} cannot register"));
            return;
        };
        process.registered.insert(name.clone(), connection);
        if let Some(connection) = process.connections.get_mut(&connection) {
            connection.worker = Some((name.clone(), id, survives));
        }
        if let Some(Party::Worker(worker)) = context.network.dialler(connection) {
            context.oracle.has_worker(worker, connection);
        }
        let request = Request::Return {
            connection,
            held: held.iter().map(|held| held.attempt).collect(),
        };
        let request = process.request(request);
        process
            .jobs
            .worker_returned(context.now, POOL, &name, held.clone(), request);
        for Held { attempt, state } in held {
            if let HeldState::Ended(end) = state
                && context.planted(ClusterFault::EndsBeforeLog)
            {
                process.jobs.attempt_ended(context.now, attempt, &name, end);
            }
        }
        let active = process
            .pool
            .set_active(id, InactiveReason::WorkerPause, true);
        if let Err(error) = active {
            context
                .oracle
                .broken(format!("{name} has just registered: {error}"));
        }
    }

    /// A connection has ended.
    pub(crate) fn disconnected(
        &mut self,
        context: &mut Context<'_>,
        id: ConnectionId,
        silently: bool,
    ) {
        self.unregister(context, id);
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(connection) = process.connections.remove(&id) else {
            return;
        };
        if context.planted(ClusterFault::BelievesOldConnection)
            && let Some((name, ..)) = &connection.worker
        {
            process.jobs.worker_left(context.now, POOL, name);
        }
        let departure = if silently {
            Departure::Silent
        } else {
            Departure::Closed
        };
        for job in connection.watches {
            process.jobs.unwatch(context.now, job, departure);
        }
        process.watchers.retain(|watcher| watcher.connection != id);
        process.readers.retain(|reader| reader.connection != id);
        process.parked.retain(|(connection, _)| *connection != id);
        self.perform(context);
    }

    /// A worker is no longer registered over this connection, if it was.
    fn unregister(&mut self, context: &mut Context<'_>, id: ConnectionId) {
        let Some(process) = &mut self.process else {
            return;
        };
        let worker = process.connections.get_mut(&id);
        let Some((name, worker, _)) = worker.and_then(|worker| worker.worker.clone()) else {
            return;
        };
        if process.registered.get(&name) != Some(&id) {
            return;
        }
        process.registered.remove(&name);
        process.pool.release(worker);
        process.pops.retain(|_, connection| *connection != id);
        process.held.retain(|_, (connection, _)| *connection != id);
        process.jobs.worker_left(context.now, POOL, &name);
        if let Some(Party::Worker(worker)) = context.network.dialler(id) {
            context.oracle.misses_worker(worker, id, context.now);
        }
        if !context.planted(ClusterFault::BelievesOldConnection)
            && let Some(connection) = process.connections.get_mut(&id)
        {
            connection.worker = None;
        }
        self.stop_following(id);
    }
}

impl Process {
    pub(super) fn request(&mut self, request: Request) -> jobs::RequestId {
        self.last_request += 1;
        let id = jobs::RequestId(self.last_request);
        self.requests.insert(id, request);
        id
    }
}

pub(super) fn reply(context: &mut Context<'_>, connection: ConnectionId, message: ToClient) {
    context.send(connection, Side::Dialler, Message::ToClient(message));
}

/// Returns one of a few ways to run a job.
fn some_terms(which: usize) -> Terms {
    let mut terms = Terms::default();
    match which % 7 {
        0 => terms.attempts = NonZeroU8::MIN,
        1 => terms.queue_limit = Some(Duration::from_secs(400)),
        2 => terms.run_limit = Some(Duration::from_secs(200)),
        3 => terms.silence_limit = Some(Duration::from_secs(100)),
        4 => terms.unwatched = Unwatched::Cancelled(ReturnTimeouts::default()),
        _ => {}
    }
    terms
}
