//! A worker: what it runs and keeps, and what of that outlives its process and its machine.

use std::collections::BTreeMap;
use std::time::Duration;

use jobs::{
    AttemptEnd, AttemptId, CancelReason, Held, HeldState, Kept, KeptEffect, KeptLimits, LossReason,
    Verdict,
};
use pool::{Time, WorkerName};

use super::events::{Crash, Event, Party};
use super::fault::ClusterFault;
use super::message::{FromWorker, Message, ToWorker};
use super::network::{ConnectionId, Side};
use super::oracle::GRACE;
use super::process::Context;

/// How many jobs a worker runs at once.
const CAPACITY: usize = 2;

/// More than any history reaches.
const LIMITS: KeptLimits = KeptLimits {
    age: Duration::from_secs(100_000),
    bytes: u64::MAX,
    attempts: usize::MAX,
};

#[derive(Debug)]
pub(crate) struct Worker {
    which: usize,
    name: WorkerName,
    /// Whether it keeps its jobs while it is disconnected. Upstream's workers do not.
    pub(crate) survives: bool,
    pub(crate) is_up: bool,
    pub(crate) life: u32,
    connection: Option<ConnectionId>,
    is_registered: bool,
    /// Whether it waits for a job.
    has_popped: bool,
    /// Decides what is kept, and for how long.
    kept: Kept,
    attempts: BTreeMap<AttemptId, KeptAttempt>,
}

/// An attempt, until it is forgotten.
#[derive(Debug)]
struct KeptAttempt {
    log: Vec<u8>,
    /// How much of the log is on disk for certain.
    synced: usize,
    /// How it ended; on disk before anybody is told.
    end: Option<AttemptEnd>,
    /// The scheduler waits for more of the log from here on.
    reader: Option<usize>,
    ends_at: Time,
}

impl KeptAttempt {
    /// Its log does not grow any more.
    fn has_ended(&self) -> bool {
        self.end.is_some()
    }
}

impl Worker {
    pub(crate) fn new(which: usize, survives: bool) -> Self {
        Self {
            which,
            name: WorkerName::new(&format!("w{which}")).expect("a good name"),
            survives,
            is_up: false,
            life: 0,
            connection: None,
            is_registered: false,
            has_popped: false,
            kept: Kept::new(LIMITS),
            attempts: BTreeMap::new(),
        }
    }

    pub(crate) fn holds(&self) -> impl Iterator<Item = AttemptId> {
        self.attempts.keys().copied()
    }

    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        self.is_up = true;
        self.life += 1;
        self.kept = Kept::new(LIMITS);
        for (id, kept) in &self.attempts {
            self.kept.restore(*id, context.now, kept.log.len() as u64);
        }
        let interrupted: Vec<_> = self
            .attempts
            .iter()
            .filter(|(_, kept)| !kept.has_ended())
            .map(|(id, _)| *id)
            .collect();
        for id in interrupted {
            context.oracle.count("interruption");
            if context.planted(ClusterFault::RunsAgain) {
                self.attempts.remove(&id);
                self.begin(context, id);
                continue;
            }
            if let Some(kept) = self.attempts.get_mut(&id) {
                kept.end = Some(AttemptEnd::Lost(LossReason::Interrupted));
            }
        }
        self.dial(context, Duration::from_secs(1));
    }

    pub(crate) fn crash(&mut self, context: &mut Context<'_>, crash: Crash) {
        self.is_up = false;
        self.connection = None;
        self.is_registered = false;
        for (id, kept) in &mut self.attempts {
            context.oracle.ends(*id);
            kept.reader = None;
            if crash != Crash::Process {
                let unsynced = kept.log.len() - kept.synced;
                kept.log
                    .truncate(kept.synced + context.random.below(unsynced + 1));
            }
        }
        if !self.survives {
            self.attempts.clear();
        }
    }

    fn dial(&self, context: &mut Context<'_>, delay: Duration) {
        let event = Event::Dial {
            from: Party::Worker(self.which),
            life: self.life,
        };
        context.after(delay, event);
    }

    pub(crate) fn connected(&mut self, context: &mut Context<'_>, connection: ConnectionId) {
        self.connection = Some(connection);
        self.is_registered = false;
        self.has_popped = false;
        let state =
            |end: &Option<AttemptEnd>| end.clone().map_or(HeldState::Running, HeldState::Ended);
        let held = self.kept.held().into_iter().filter_map(|id| {
            let kept = self.attempts.get(&id)?;
            Some(Held {
                attempt: id,
                state: state(&kept.end),
            })
        });
        let held = held.collect();
        let rejoin = FromWorker::Rejoin {
            name: self.name.clone(),
            survives: self.survives,
            held,
        };
        self.send(context, rejoin);
    }

    pub(crate) fn disconnected(&mut self, context: &mut Context<'_>, connection: ConnectionId) {
        if self.connection != Some(connection) {
            return;
        }
        self.connection = None;
        self.is_registered = false;
        for kept in self.attempts.values_mut() {
            kept.reader = None;
        }
        if !self.survives {
            for id in self.attempts.keys() {
                context.oracle.ends(*id);
            }
            self.attempts.clear();
            self.kept = Kept::new(LIMITS);
        } else if context.planted(ClusterFault::CancelsOnDisconnect) {
            let all: Vec<_> = self.attempts.keys().copied().collect();
            for id in all {
                self.end(context, id, AttemptEnd::Stopped);
            }
        }
        self.kept.disconnected(context.now);
        if let Some(deadline) = self.kept.next_deadline() {
            let (worker, life) = (self.which, self.life);
            context.events.at(deadline, Event::Grace { worker, life });
        }
        let delay = match context.has_standbys() {
            true => context.random.pick(&[0, 1]),
            false => context.random.pick(&[1, 5, 10]),
        };
        self.dial(context, Duration::from_secs(delay));
    }

    /// It may have been away for the grace period.
    pub(crate) fn grace_may_be_over(&mut self, context: &mut Context<'_>) {
        self.kept.advance(context.now);
        self.perform(context);
    }

    /// Does what was decided about the kept attempts.
    fn perform(&mut self, context: &mut Context<'_>) {
        while let Some(effect) = self.kept.next_effect() {
            match effect {
                KeptEffect::Cancel { attempt, reason } => {
                    if let CancelReason::SchedulerAway(_) = reason {
                        context.oracle.count("grace over");
                    }
                    context.oracle.may_stop(attempt);
                    self.end(context, attempt, AttemptEnd::Stopped);
                }
                KeptEffect::Delete { attempt, .. } => {
                    self.attempts.remove(&attempt);
                }
            }
        }
    }

    fn send(&self, context: &mut Context<'_>, message: FromWorker) {
        if let Some(connection) = self.connection {
            context.send(connection, Side::Scheduler, Message::FromWorker(message));
        }
    }

    pub(crate) fn receive(&mut self, context: &mut Context<'_>, message: ToWorker) {
        match message {
            ToWorker::Rejoined { forget } => {
                for id in forget {
                    self.forget(context, id);
                }
                self.is_registered = true;
                self.kept.connected(GRACE);
                self.report_ends(context);
                self.pop(context);
            }
            ToWorker::Start { attempt } => {
                self.has_popped = false;
                self.begin(context, attempt);
                self.pop(context);
            }
            ToWorker::Stop { attempt } => {
                context.oracle.may_stop(attempt);
                self.end(context, attempt, AttemptEnd::Stopped);
            }
            ToWorker::Forget { attempt } => self.forget(context, attempt),
            ToWorker::ReadLog { attempt, start } => {
                match self.attempts.get_mut(&attempt) {
                    Some(kept) => kept.reader = Some(start),
                    None => context.oracle.count("log of a forgotten attempt"),
                }
                self.answer_reader(context, attempt);
            }
        }
    }

    fn pop(&mut self, context: &mut Context<'_>) {
        let running = self
            .attempts
            .values()
            .filter(|kept| !kept.has_ended())
            .count();
        if self.is_registered && !self.has_popped && running < CAPACITY {
            self.has_popped = true;
            self.send(context, FromWorker::Pop);
        }
    }

    fn begin(&mut self, context: &mut Context<'_>, attempt: AttemptId) {
        context.oracle.begins(self.which, self.survives, attempt);
        let seconds = context.random.pick(&[1, 5, 20, 60, 250, 900]);
        let kept = KeptAttempt {
            log: Vec::new(),
            synced: 0,
            end: None,
            reader: None,
            ends_at: context.now + Duration::from_secs(seconds),
        };
        self.attempts.insert(attempt, kept);
        self.kept.begin(attempt);
        self.goes_on(context, attempt);
    }

    /// Its next line comes some time before its end.
    fn goes_on(&self, context: &mut Context<'_>, attempt: AttemptId) {
        let Some(kept) = self.attempts.get(&attempt) else {
            return;
        };
        let line = context.now + Duration::from_secs(context.random.pick(&[1, 10, 40]));
        let event = Event::Build {
            worker: self.which,
            life: self.life,
            attempt,
        };
        context.events.at(line.min(kept.ends_at), event);
    }

    /// A build writes a line, or ends.
    pub(crate) fn builds(&mut self, context: &mut Context<'_>, attempt: AttemptId) {
        let Some(kept) = self.attempts.get_mut(&attempt) else {
            return;
        };
        if kept.has_ended() {
            return;
        }
        let line: Vec<u8> = (0..1 + context.random.below(9))
            .map(|_| context.random.below(256) as u8)
            .collect();
        kept.log.extend_from_slice(&line);
        context.oracle.writes(attempt, &line);
        if context.now < kept.ends_at {
            self.answer_reader(context, attempt);
            self.goes_on(context, attempt);
            return;
        }
        let verdict = if context.random.once_in(4) {
            Verdict::Failed {
                detail: "".into(),
                exit_code: Some(1),
            }
        } else {
            Verdict::Succeeded(attempt.number.to_string().into())
        };
        self.end(context, attempt, AttemptEnd::Done(verdict));
        self.pop(context);
    }

    /// An attempt ends, if it runs. Its log and its end are on disk when anybody is told.
    fn end(&mut self, context: &mut Context<'_>, id: AttemptId, end: AttemptEnd) {
        let Some(kept) = self.attempts.get_mut(&id) else {
            return;
        };
        if kept.has_ended() {
            return;
        }
        kept.synced = kept.log.len();
        kept.end = Some(end);
        let bytes = kept.log.len() as u64;
        context.oracle.ends(id);
        self.kept.ended(context.now, id, bytes);
        self.answer_reader(context, id);
        if self.is_registered {
            self.report_end(context, id);
        }
    }

    fn report_ends(&mut self, context: &mut Context<'_>) {
        let ended = self.attempts.iter().filter(|(_, kept)| kept.has_ended());
        let ended: Vec<_> = ended.map(|(id, _)| *id).collect();
        for id in ended {
            self.report_end(context, id);
        }
    }

    fn report_end(&mut self, context: &mut Context<'_>, id: AttemptId) {
        if let Some(end) = self.attempts.get(&id).and_then(|kept| kept.end.clone()) {
            self.send(context, FromWorker::End { attempt: id, end });
            if context.planted(ClusterFault::ForgetsOnEnd) {
                self.attempts.remove(&id);
            }
        }
    }

    /// Answers the scheduler's read once there is something to answer.
    fn answer_reader(&mut self, context: &mut Context<'_>, id: AttemptId) {
        let Some(kept) = self.attempts.get_mut(&id) else {
            return;
        };
        let Some(start) = kept.reader else { return };
        let is_complete = kept.has_ended();
        if start >= kept.log.len() && !is_complete {
            return;
        }
        kept.reader = None;
        let bytes = kept.log.get(start..).unwrap_or_default().to_vec();
        let log = FromWorker::Log {
            attempt: id,
            start,
            bytes,
            is_complete,
        };
        self.send(context, log);
    }

    fn forget(&mut self, context: &mut Context<'_>, id: AttemptId) {
        context.oracle.ends(id);
        self.kept.forget(id);
        self.perform(context);
        self.pop(context);
    }
}
