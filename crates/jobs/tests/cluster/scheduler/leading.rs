//! One of several schedulers: a standby, or the one that leads. What it does is decided by `leadership`.

use std::time::Duration;

use jobs::Saved;
use leadership::{Effect, Fence, HolderId, Leadership, Seen, StopReason, Timing};
use pool::Time;

use super::Scheduler;
use crate::cluster::database::{Answer, Question};
use crate::cluster::events::{Event, Party};
use crate::cluster::fault::ClusterFault;
use crate::cluster::process::Context;

/// A scheduler among several, while its program runs.
#[derive(Debug)]
pub(super) struct Candidate {
    leadership: Leadership,
    /// The next look at the clock that is planned.
    planned: Option<Time>,
    /// What it read when it became a standby; for a fault.
    rows: Vec<Saved>,
}

impl Scheduler {
    /// Its program starts, as a standby. What it has on disk, it copies to the store.
    pub(super) fn stand_by(&mut self, context: &mut Context<'_>) {
        self.starts += 1;
        let holder = HolderId(self.which as u64);
        self.candidate = Some(Candidate {
            leadership: Leadership::new(Timing::default(), context.now, holder),
            planned: None,
            rows: context.database.disk.unfinished(),
        });
        if !context.planted(ClusterFault::ForgetsToUpload) {
            let whole: Vec<_> = self.logs.whole().collect();
            for attempt in whole {
                self.share(context, attempt);
            }
        }
        self.lead_or_wait(context);
    }

    /// Returns the number that its writes carry, if it leads.
    pub(crate) fn fence(&self) -> Option<Fence> {
        self.process.as_ref().and_then(|process| process.fence)
    }

    /// Whether its lease is valid by its own clock: what no correct leader relies on.
    pub(super) fn lease_is_valid(&self, now: Time) -> bool {
        let candidate = self.candidate.as_ref();
        let confirmed = candidate.and_then(|candidate| candidate.leadership.confirmed());
        confirmed.is_some_and(|since| now < since + Timing::default().lease)
    }

    /// The time for something about the lease may have come.
    pub(crate) fn lease_is_due(&mut self, context: &mut Context<'_>) {
        let is_due = |planned: &mut Time| *planned <= context.now;
        if let Some(candidate) = &mut self.candidate
            && candidate.planned.take_if(is_due).is_some()
        {
            candidate.leadership.advance(context.now);
            self.lead_or_wait(context);
        }
    }

    pub(crate) fn wake(&mut self, context: &mut Context<'_>) {
        if let Some(candidate) = &mut self.candidate {
            candidate.leadership.woken(context.now);
        }
        self.lead_or_wait(context);
    }

    /// The database has answered a question about the lease, or did not.
    pub(crate) fn answered(
        &mut self,
        context: &mut Context<'_>,
        ask: leadership::AskId,
        answer: Answer,
    ) {
        let me = HolderId(self.which as u64);
        if let Some(candidate) = &mut self.candidate {
            let leadership = &mut candidate.leadership;
            match answer {
                Answer::Looked(seen) => {
                    let believes = |seen: &Seen| seen.has_expired || seen.holder == Some(me);
                    let waits = context.planted(ClusterFault::WaitsForDatabaseClock);
                    let seen = seen.filter(|seen| !waits || believes(seen));
                    leadership.looked(context.now, ask, seen);
                }
                Answer::Taken(answer) => leadership.taken(context.now, ask, answer),
                Answer::Renewed(answer) => leadership.renewed(context.now, ask, answer),
                Answer::Resigned => leadership.resigned(context.now, ask),
            }
        }
        self.lead_or_wait(context);
        // What could not be read may be readable again.
        self.ask_again(context);
    }

    pub(crate) fn peer_heard(&mut self, context: &Context<'_>) {
        if let Some(candidate) = &mut self.candidate {
            candidate.leadership.peer_heard(context.now);
        }
    }

    pub(super) fn write_refused(&mut self, context: &mut Context<'_>, number: u64) {
        if let Some(candidate) = &mut self.candidate {
            candidate.leadership.write_refused(context.now, number);
        }
        self.lead_or_wait(context);
    }

    pub(super) fn drained(&mut self, context: &mut Context<'_>) {
        if let Some(candidate) = &mut self.candidate {
            candidate.leadership.drained(context.now);
        }
        self.lead_or_wait(context);
    }

    /// An operator asks it to step down.
    pub(crate) fn step_down(&mut self, context: &mut Context<'_>) {
        if let Some(candidate) = &mut self.candidate
            && candidate.leadership.step_down(context.now).is_ok()
        {
            context.oracle.count("step-down");
        }
        self.lead_or_wait(context);
    }

    /// Does what was decided about the lease.
    fn lead_or_wait(&mut self, context: &mut Context<'_>) {
        while let Some(candidate) = &mut self.candidate {
            match candidate.leadership.next_effect() {
                Some(Effect::Look(ask)) => {
                    let is_cut_off = !context.network.reaches_leader(self.which, context.database);
                    self.ask(context, ask, Question::Look { is_cut_off });
                }
                Some(Effect::Take(ask, seen)) => self.ask(context, ask, Question::Take(seen)),
                Some(Effect::Renew(ask, fence)) => self.ask(context, ask, Question::Renew(fence)),
                Some(Effect::Resign(ask, fence)) => self.ask(context, ask, Question::Resign(fence)),
                Some(Effect::Probe) => self.probe(context),
                Some(Effect::Lead(fence)) => self.restore(context, fence),
                Some(Effect::Drain) => self.drain(context),
                Some(Effect::Stop(reason)) => self.stop(context, reason),
                None => break,
            }
        }
        let (scheduler, starts) = (self.which, self.starts);
        if let Some(candidate) = &mut self.candidate
            && let Some(next) = candidate.leadership.next_deadline()
            && candidate.planned.is_none_or(|planned| planned > next)
        {
            candidate.planned = Some(next);
            let next = next.max(context.now);
            context.events.at(next, Event::Lease { scheduler, starts });
        }
    }

    /// Asks the database about the lease. The answer may come late, or never.
    fn ask(&self, context: &mut Context<'_>, ask: leadership::AskId, question: Question) {
        let (scheduler, starts) = (self.which, self.starts);
        let reaches = context.database.reaches(scheduler);
        let resigns = matches!(question, Question::Resign(_));
        let answer = match reaches {
            true => {
                let fault = context.fault;
                let database = &mut *context.database;
                database.answer(context.now, scheduler, question, fault)
            }
            false => question.unanswered(),
        };
        if resigns && reaches {
            for standby in (0..3).filter(|which| *which != scheduler) {
                let wake = Event::Wake { scheduler: standby };
                context.after(Duration::from_millis(5), wake);
            }
        }
        let delay = match context.random.once_in(100) {
            // Too late for anything.
            true => {
                context.oracle.answer_was_lost(context.now);
                3_000
            }
            false => context.random.pick(&[1, 5, 20]),
        };
        let answer = Event::Answer {
            scheduler,
            starts,
            ask,
            answer,
        };
        context.after(Duration::from_millis(delay), answer);
    }

    /// Has its peers show a sign of life.
    fn probe(&self, context: &mut Context<'_>) {
        let (scheduler, life) = (self.which, self.life);
        let connections = context.network.of(Party::Scheduler(scheduler));
        if connections
            .iter()
            .any(|(connection, _)| !context.network.is_cut(*connection))
        {
            let heard = Event::Heard { scheduler, life };
            context.after(Duration::from_millis(100), heard);
        }
    }

    /// Reads what is saved, and begins to lead. It has the lease by now: nobody else saves anything after that.
    pub(crate) fn restore(&mut self, context: &mut Context<'_>, fence: Fence) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        if candidate.leadership.fence() != Some(fence) {
            return;
        }
        if !context.database.reaches(self.which) {
            let again = Event::Restore {
                scheduler: self.which,
                starts: self.starts,
                fence,
            };
            return context.after(Duration::from_millis(500), again);
        }
        let saved = match context.planted(ClusterFault::RestoresOldRows) {
            true => std::mem::take(&mut candidate.rows),
            false => context.database.disk.unfinished(),
        };
        context.oracle.count("new leader");
        context.oracle.misses_all(context.now);
        self.begin(context, saved, Some(fence));
    }

    /// Accepts nothing more, and finishes the write that is on its way.
    fn drain(&mut self, context: &mut Context<'_>) {
        let Some(process) = &mut self.process else {
            return self.drained(context);
        };
        process.drains = true;
        if let Some((last, _)) = process.unsaved.back()
            && context.planted(ClusterFault::ReportsUnsavedAtHandover)
        {
            let last = *last;
            process.jobs.committed(last);
            self.perform(context);
            return self.drained(context);
        }
        if process.sent.is_none() {
            self.drained(context);
        }
    }

    /// Stops leading: its peers go to another one.
    fn stop(&mut self, context: &mut Context<'_>, reason: StopReason) {
        context.oracle.count(match reason {
            StopReason::Deposed => "deposed",
            StopReason::Expired => "expired",
            StopReason::StepDown => "handover",
            StopReason::CutOff => "cut off",
            StopReason::Shutdown => "shutdown",
        });
        if !context.planted(ClusterFault::KeepsConnections) {
            self.life += 1;
            self.process = None;
            for connection in context.network.of(Party::Scheduler(self.which)) {
                let (network, events) = (&mut *context.network, &mut *context.events);
                network.close(events, context.random, context.now, connection, false);
            }
        }
        if let Some(candidate) = &mut self.candidate {
            candidate.leadership.stopped(context.now);
            candidate.rows = context.database.disk.unfinished();
        }
    }
}
