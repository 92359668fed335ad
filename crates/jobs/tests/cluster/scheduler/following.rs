//! Keeps the log of an attempt, and takes its end when the log is whole.

use std::time::Duration;

use jobs::{AttemptEnd, AttemptId, Outcome, SavedStage};
use pool::TicketId;

use super::{Reader, Scheduler};
use crate::cluster::events::Event;
use crate::cluster::fault::ClusterFault;
use crate::cluster::logs::Logs;
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
        let log_is_whole = self.log(context, attempt).is_complete(attempt);
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
            self.settle(context, attempt);
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
            self.settle(context, attempt);
            self.share(context, attempt);
        } else {
            self.read_on(context, connection, attempt);
        }
        self.answer_readers(context);
    }

    pub(super) fn end_arrived(
        &mut self,
        context: &Context<'_>,
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
            self.settle(context, attempt);
        }
    }

    /// Reports the end of an attempt once its log is whole, and the log once all schedulers find it.
    fn settle(&mut self, context: &Context<'_>, attempt: AttemptId) {
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
        let (ticket, connection) = (following.ticket, following.connection);
        process.following.remove(&attempt);
        if let Some(ticket) = ticket {
            process.pool.job_finished(ticket);
        }
        if let Some(end) = end {
            let now = process.pool.now();
            process.jobs.attempt_ended(now, attempt, &name, end);
        }
        let is_shared = !context.has_standbys()
            || context.store.has(attempt)
            || context.planted(ClusterFault::AcknowledgesBeforeUpload);
        if is_shared {
            process.jobs.log_kept(attempt, &name);
        } else {
            process.unshared.insert(attempt, (connection, name));
        }
    }

    /// Has a log that is whole copied to the store, after a while.
    pub(super) fn share(&self, context: &mut Context<'_>, attempt: AttemptId) {
        if context.has_standbys() && !context.store.has(attempt) {
            let delay = context.random.pick(&[10, 1_000, 10_000, 100_000]);
            let upload = Event::Upload {
                scheduler: self.which,
                starts: self.starts,
                attempt,
            };
            context.after(Duration::from_millis(delay), upload);
        }
    }

    /// A log is due to be copied to the store. A standby does that, too.
    pub(crate) fn upload(&mut self, context: &mut Context<'_>, attempt: AttemptId) {
        if context.store.is_down {
            return self.share(context, attempt);
        }
        context.store.put(attempt, self.logs.read(attempt, 0));
        let Some(process) = &mut self.process else {
            return;
        };
        if let Some((connection, name)) = process.unshared.remove(&attempt)
            && process.registered.get(&name) == Some(&connection)
        {
            process.jobs.log_kept(attempt, &name);
            self.perform(context);
        }
    }

    /// The logs among which that of an attempt is: those on this disk, unless only the store has it whole.
    fn log<'a>(&'a self, context: &'a Context<'_>, attempt: AttemptId) -> &'a Logs {
        if context.store.has(attempt) && !self.logs.is_complete(attempt) {
            context.store.logs()
        } else {
            &self.logs
        }
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
        let readers = std::mem::take(&mut process.readers);
        let Some(process) = &self.process else {
            return;
        };
        let jobs = &process.jobs;
        let grows = |attempt: AttemptId| {
            let is_current = jobs
                .stage(attempt.job)
                .and_then(|stage| stage.attempt())
                .is_some_and(|current| current.number == attempt.number);
            !self.log(context, attempt).is_complete(attempt)
                && (is_current || comes_from_worker(context, attempt))
        };
        let (ready, waiting): (Vec<_>, Vec<_>) = readers.into_iter().partition(|reader| {
            self.log(context, reader.attempt).length(reader.attempt) > reader.start
                || !grows(reader.attempt)
        });
        for Reader {
            connection,
            wish,
            attempt,
            start,
        } in ready
        {
            let log = self.log(context, attempt);
            let bytes = log.read(attempt, start).to_vec();
            let is_complete = bytes.is_empty();
            let log = ToClient::Log {
                wish,
                attempt,
                bytes,
                is_complete,
            };
            context.send(connection, Side::Dialler, Message::ToClient(log));
        }
        if let Some(process) = &mut self.process {
            process.readers = waiting;
        }
    }
}

/// The log of an attempt that has decided its job is with its worker, which returns some day: no leader has read all of
/// it and is there.
fn comes_from_worker(context: &Context<'_>, attempt: AttemptId) -> bool {
    let row = context.database.disk.row(attempt.job);
    context.has_standbys()
        && row.is_some_and(|row| {
            let survives = match &row.saved.stage {
                SavedStage::Assigned(attempt) => attempt.survives,
                SavedStage::Queued { .. } => false,
            };
            survives
                && row.saved.attempts == attempt.number
                && matches!(row.outcome, Some(Outcome::Done(_)))
        })
}
