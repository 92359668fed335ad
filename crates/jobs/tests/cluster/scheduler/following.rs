//! Keeps the log of an attempt, and takes its end when the log is whole.

use jobs::{AttemptEnd, AttemptId};
use pool::TicketId;

use super::{Reader, Scheduler};
use crate::cluster::fault::ClusterFault;
use crate::cluster::message::{Message, ToClient, ToWorker};
use crate::cluster::network::{ConnectionId, Side};
use crate::cluster::process::Context;

/// An attempt whose worker is connected.
#[derive(Debug)]
pub(super) struct Following {
    connection: ConnectionId,
    /// The ticket of the pool that it came from, if it began over this connection.
    ticket: Option<TicketId>,
    /// How it ended, as its worker reported.
    end: Option<AttemptEnd>,
    log_is_whole: bool,
}

impl Scheduler {
    pub(super) fn follow(
        &mut self,
        context: &mut Context<'_>,
        (connection, ticket): (ConnectionId, Option<TicketId>),
        attempt: AttemptId,
    ) {
        let log_is_whole = self.logs.is_complete(attempt);
        let Some(process) = &mut self.process else {
            return;
        };
        let following = Following {
            connection,
            ticket,
            end: None,
            log_is_whole,
        };
        process.following.insert(attempt, following);
        if log_is_whole {
            self.settle(attempt);
        } else {
            self.read_on(context, connection, attempt);
        }
    }

    fn read_on(&self, context: &mut Context<'_>, connection: ConnectionId, attempt: AttemptId) {
        let start = match context.planted(ClusterFault::AppendsBlindly) {
            true => self.logs.length(attempt).saturating_sub(1),
            false => self.logs.length(attempt),
        };
        let read = ToWorker::ReadLog { attempt, start };
        context.send(connection, Side::Dialler, Message::ToWorker(read));
    }

    pub(super) fn log_arrived(
        &mut self,
        context: &mut Context<'_>,
        connection: ConnectionId,
        (attempt, start): (AttemptId, usize),
        bytes: &[u8],
        is_complete: bool,
    ) {
        let Some(process) = &mut self.process else {
            return;
        };
        let follows = |following: &Following| following.connection == connection;
        if !process.following.get(&attempt).is_some_and(follows) {
            return;
        }
        process.jobs.log_grew(context.now, attempt);
        if context.planted(ClusterFault::AppendsBlindly) {
            self.logs.append_blindly(attempt, bytes);
        } else {
            self.logs.append(attempt, start, bytes);
        }
        if is_complete {
            let is_synced = !context.planted(ClusterFault::AcknowledgesUnsyncedLog);
            self.logs.finish(attempt, is_synced);
            if let Some(following) = process.following.get_mut(&attempt) {
                following.log_is_whole = true;
            }
            self.settle(attempt);
        } else {
            self.read_on(context, connection, attempt);
        }
        self.answer_readers(context);
    }

    pub(super) fn end_arrived(
        &mut self,
        connection: ConnectionId,
        attempt: AttemptId,
        end: AttemptEnd,
    ) {
        let Some(process) = &mut self.process else {
            return;
        };
        if let Some(following) = process.following.get_mut(&attempt)
            && following.connection == connection
        {
            following.end = Some(end);
            self.settle(attempt);
        }
    }

    /// Reports the end of an attempt once its log is whole.
    fn settle(&mut self, attempt: AttemptId) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(following) = process.following.get_mut(&attempt) else {
            return;
        };
        let worker = process.connections.get(&following.connection);
        let Some((name, ..)) = worker.and_then(|worker| worker.worker.clone()) else {
            return;
        };
        if !following.log_is_whole || following.end.is_none() {
            return;
        }
        let end = following.end.take();
        let ticket = following.ticket;
        process.following.remove(&attempt);
        if let Some(ticket) = ticket {
            process.pool.job_finished(ticket);
        }
        if let Some(end) = end {
            let now = process.pool.now();
            process.jobs.attempt_ended(now, attempt, &name, end);
        }
        process.jobs.log_kept(attempt, &name);
    }

    /// Stops following what is followed over a connection.
    pub(super) fn stop_following(&mut self, connection: ConnectionId) {
        if let Some(process) = &mut self.process {
            process
                .following
                .retain(|_, following| following.connection != connection);
        }
    }

    /// A client reads a log from an offset.
    pub(super) fn read_log(&mut self, context: &mut Context<'_>, reader: Reader) {
        if let Some(process) = &mut self.process {
            process.readers.push(reader);
        }
        self.answer_readers(context);
    }

    /// Answers those who wait for what is there by now.
    pub(super) fn answer_readers(&mut self, context: &mut Context<'_>) {
        let Some(process) = &mut self.process else {
            return;
        };
        let (jobs, logs) = (&process.jobs, &self.logs);
        let grows = |attempt: AttemptId| {
            !logs.is_complete(attempt)
                && jobs
                    .stage(attempt.job)
                    .and_then(|stage| stage.attempt())
                    .is_some_and(|current| current.number == attempt.number)
        };
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut process.readers)
            .into_iter()
            .partition(|reader| {
                logs.length(reader.attempt) > reader.start || !grows(reader.attempt)
            });
        process.readers = waiting;
        for Reader {
            connection,
            wish,
            attempt,
            start,
        } in ready
        {
            let bytes = logs.read(attempt, start).to_vec();
            let is_complete = bytes.is_empty();
            let log = ToClient::Log {
                wish,
                attempt,
                bytes,
                is_complete,
            };
            context.send(connection, Side::Dialler, Message::ToClient(log));
        }
    }
}
