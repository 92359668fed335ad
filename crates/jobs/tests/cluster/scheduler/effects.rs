//! Performs the effects of the jobs and of the pool, one by one: it may be killed between any two.

use jobs::{AttemptId, Effect, HeldAnswer, JobId, Outcome, RequestId, Stage};
use pool::{Effect as PoolEffect, PopId, TicketId};

use super::connections::reply;
use super::{Process, Request, Scheduler};
use crate::cluster::fault::ClusterFault;
use crate::cluster::message::{Message, ToClient, ToWorker};
use crate::cluster::network::{ConnectionId, Side};
use crate::cluster::process::Context;

impl Scheduler {
    pub(super) fn perform(&mut self, context: &mut Context<'_>) {
        while let Some(process) = &mut self.process {
            if let Some(fuse) = &mut process.fuse {
                match fuse.checked_sub(1) {
                    Some(left) => *fuse = left,
                    // The world kills it now; nothing more is done until then.
                    None => return,
                }
            }
            if let Some(effect) = process.jobs.next_effect() {
                self.perform_one(context, effect);
            } else if let Some(effect) = process.pool.poll_effect() {
                if let PoolEffect::Deliver { pop, ticket, .. } = effect {
                    process.assign(context, pop, ticket);
                }
            } else {
                break;
            }
        }
        self.ask_again(context);
        self.answer_watchers(context);
        self.answer_readers(context);
        self.plan(context);
    }

    /// Whether it is to be killed now.
    pub(crate) fn has_burnt_down(&self) -> bool {
        self.process
            .as_ref()
            .is_some_and(|process| process.fuse == Some(0))
    }

    fn perform_one(&mut self, context: &mut Context<'_>, effect: Effect) {
        let Some(process) = &mut self.process else {
            return;
        };
        match effect {
            Effect::Save(number, change) => process.unsaved.push_back((number, change)),
            Effect::Enqueue {
                job,
                client,
                hint,
                urgent,
                ..
            } => {
                let ticket = process
                    .pool
                    .submit(context.now, &client, hint.as_str(), urgent);
                process.tickets.insert(ticket, job);
                process.ticket_of.insert(job, ticket);
            }
            Effect::Withdraw { job } => {
                if let Some(ticket) = process.ticket_of.remove(&job) {
                    process.tickets.remove(&ticket);
                    let (pool::Cancel::Cancelled | pool::Cancel::NotQueued) =
                        process.pool.cancel(ticket);
                }
            }
            Effect::Start { attempt, .. } => self.start_attempt(context, attempt),
            Effect::Unassign { attempt, .. } => {
                context.oracle.count("unassignment");
                process.wait_on(attempt);
            }
            Effect::Stop { attempt, worker } => {
                context.oracle.count("stop");
                self.send_to_worker(context, &worker, ToWorker::Stop { attempt });
            }
            Effect::Acknowledge { attempt, worker } => {
                context.oracle.count("acknowledgement");
                self.send_to_worker(context, &worker, ToWorker::Forget { attempt });
            }
            Effect::Answer { request, job } => process.answer(context, request, job),
            // Its client learns how the job ended from the status.
            Effect::AnswerEnded { request, .. } => drop(process.requests.remove(&request)),
            Effect::Refuse { request, job } => {
                process.unsaved.retain(|(_, change)| change.job() != job);
                if let Some(Request::Submit { connection, wish }) =
                    process.requests.remove(&request)
                {
                    reply(context, connection, ToClient::Refused { wish });
                }
            }
            Effect::AnswerReturn { request, held } => self.answer_return(context, request, &held),
            Effect::Changed {
                job,
                version,
                stage,
            } => {
                if let Stage::Ended { .. } = stage {
                    process.shown.remove(&job);
                } else {
                    process.shown.insert(job, (version, stage));
                }
            }
        }
    }

    /// Hands an attempt to the worker that waits for it.
    fn start_attempt(&mut self, context: &mut Context<'_>, attempt: AttemptId) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some((connection, ticket)) = process.held.remove(&attempt) else {
            return;
        };
        let known = context
            .database
            .disk
            .row(attempt.job)
            .map_or(0, |row| row.saved.attempts);
        if known < attempt.number {
            context.oracle.broken(format!(
                "durable before reported: {attempt} starts, and is not on disk"
            ));
        }
        let start = Message::ToWorker(ToWorker::Start { attempt });
        context.send(connection, Side::Dialler, start);
        self.follow(context, (connection, Some(ticket)), attempt);
    }

    fn send_to_worker(
        &self,
        context: &mut Context<'_>,
        worker: &pool::WorkerName,
        message: ToWorker,
    ) {
        let registered = self.process.as_ref().map(|process| &process.registered);
        if let Some(connection) = registered.and_then(|registered| registered.get(worker)) {
            context.send(*connection, Side::Dialler, Message::ToWorker(message));
        }
    }

    fn answer_return(
        &mut self,
        context: &mut Context<'_>,
        request: RequestId,
        answers: &[HeldAnswer],
    ) {
        let process = self.process.as_mut();
        let Some(Request::Return { connection, held }) =
            process.and_then(|process| process.requests.remove(&request))
        else {
            return;
        };
        let is_registered = |process: &Process, id: &ConnectionId| {
            process
                .registered
                .values()
                .any(|registered| registered == id)
        };
        if !self
            .process
            .as_ref()
            .is_some_and(|process| is_registered(process, &connection))
        {
            return;
        }
        let mut forget = Vec::new();
        let mut keep = Vec::new();
        let mut keep_log = Vec::new();
        for (attempt, answer) in held.into_iter().zip(answers) {
            match answer {
                HeldAnswer::Keep => keep.push(attempt),
                HeldAnswer::Forget if self.wants_log(context, attempt) => {
                    context.oracle.count("log taken after the end");
                    keep_log.push(attempt);
                }
                HeldAnswer::Forget => {
                    context.oracle.count("supersession");
                    forget.push(attempt);
                }
            }
        }
        let rejoined = Message::ToWorker(ToWorker::Rejoined { forget });
        context.send(connection, Side::Dialler, rejoined);
        for attempt in keep {
            context.oracle.count("adoption");
            self.follow(context, (connection, None), attempt);
        }
        for attempt in keep_log {
            self.follow(context, (connection, None), attempt);
        }
    }

    /// The job has ended with this attempt under an earlier leader, which did not come to share the log.
    fn wants_log(&self, context: &Context<'_>, attempt: AttemptId) -> bool {
        let row = context.database.disk.row(attempt.job);
        let has_decided = row.is_some_and(|row| {
            row.saved.attempts == attempt.number && matches!(row.outcome, Some(Outcome::Done(_)))
        });
        context.has_standbys()
            && has_decided
            && !context.store.has(attempt)
            && !context.planted(ClusterFault::ForgetsUnsharedLog)
    }
}

impl Process {
    fn answer(&mut self, context: &mut Context<'_>, request: RequestId, job: JobId) {
        match self.requests.remove(&request) {
            Some(Request::Submit { connection, wish }) => {
                reply(context, connection, ToClient::Accepted { wish, job });
            }
            Some(Request::Cancel { connection }) => {
                context.oracle.count("cancel");
                reply(context, connection, ToClient::Cancelled { job });
            }
            Some(Request::Return { .. }) | None => {}
        }
    }

    /// The worker that was chosen for an attempt waits for another job.
    fn wait_on(&mut self, attempt: AttemptId) {
        let Some((connection, ticket)) = self.held.remove(&attempt) else {
            return;
        };
        self.pool.job_finished(ticket);
        let worker = self.connections.get(&connection);
        if let Some((_, id, _)) = worker.and_then(|worker| worker.worker.as_ref())
            && let Ok(pop) = self.pool.pop(*id)
        {
            self.pops.insert(pop, connection);
        }
    }

    /// The pool has found a worker for a ticket.
    fn assign(&mut self, context: &mut Context<'_>, pop: PopId, ticket: TicketId) {
        let Some(connection) = self.pops.remove(&pop) else {
            context
                .oracle
                .broken("a job is delivered to nobody".to_owned());
            return;
        };
        let job = self.tickets.remove(&ticket);
        if let Some(job) = job {
            self.ticket_of.remove(&job);
        }
        let worker = self
            .connections
            .get(&connection)
            .and_then(|worker| worker.worker.clone());
        let (Some(job), Some((name, _, survives))) = (job, worker) else {
            context
                .oracle
                .broken(format!("{ticket:?} is delivered, and unknown"));
            return;
        };
        match self.jobs.assign(context.now, job, &name, survives) {
            Some(attempt) => {
                self.held.insert(attempt, (connection, ticket));
            }
            None => context
                .oracle
                .broken(format!("{job} is in the pool's queue, and does not wait")),
        }
    }
}
