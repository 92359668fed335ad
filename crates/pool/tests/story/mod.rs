//! The words in which stories about a pool are told.
//!
//! A [`Story`] holds a pool and everything a scheduler would around it: a database that remembers
//! what the pool asked to save, and the answers to pops. Jobs are called by their own names rather
//! than by their hints, as in upstream's tests; time stands at one second until told otherwise.
//!
//! Every word checks the pool's invariants before it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::Expect;
use pool::{
    Cancel, Capacity, ClientId, Config, Cost, Disconnected, Effect, ForgetError, InactiveReason,
    Place, Pool, PopId, Rate, Remembered, TicketId, Time, WaitingView, WorkerId, WorkerName,
};

/// What jobs cost in stories: small numbers read better.
pub(crate) const COST: Cost = Cost {
    cached: Duration::from_secs(2),
    non_cached: Duration::from_secs(10),
};

const CONFIG: Config = Config {
    cost: COST,
    probe_after: None,
};

pub(crate) const WORKER: InactiveReason = InactiveReason::WorkerPause;
pub(crate) const ADMIN: InactiveReason = InactiveReason::AdminPause;
pub(crate) const SHUTDOWN: InactiveReason = InactiveReason::ShuttingDown;
pub(crate) const SILENT: InactiveReason = InactiveReason::NotAnswering;

pub(crate) struct Story {
    pub(crate) pool: Pool,
    pub(crate) now: Time,
    database: Remembered,
    /// Job names by ticket.
    jobs: BTreeMap<TicketId, String>,
    tickets: BTreeMap<String, TicketId>,
    cancelled: BTreeSet<TicketId>,
    /// What each pop was answered.
    answers: BTreeMap<PopId, Answer>,
    /// Decisions since they were last asked for.
    log: Vec<String>,
    /// `RunningChanged` since last asked for.
    running: Vec<String>,
    /// Who was to be asked whether it is there, since last asked for.
    asked: Vec<WorkerId>,
    /// Who is not answering, as far as the pool has been told.
    silent: BTreeSet<WorkerId>,
}

#[derive(Clone)]
enum Answer {
    Job(TicketId),
    Failed,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::with(Remembered::default())
    }

    /// Starts with what a database remembers.
    pub(crate) fn with(database: Remembered) -> Self {
        Self {
            pool: Pool::new(CONFIG, database.clone()),
            now: Time::from_secs(1),
            database,
            jobs: BTreeMap::new(),
            tickets: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            answers: BTreeMap::new(),
            log: Vec::new(),
            running: Vec::new(),
            asked: Vec::new(),
            silent: BTreeSet::new(),
        }
    }

    /// Has workers asked whether they are there that have been silent for longer than `seconds`.
    pub(crate) fn probing_after(seconds: u64) -> Self {
        let config = Config {
            probe_after: Some(Duration::from_secs(seconds)),
            ..CONFIG
        };
        Self {
            pool: Pool::new(config, Remembered::default()),
            ..Self::new()
        }
    }

    /// The scheduler stops, and starts again with the same database.
    pub(crate) fn restart(mut self) -> Self {
        self.pause();
        Self::with(self.database)
    }

    // Workers.

    /// Registers a worker of capacity 1, still paused.
    pub(crate) fn register(&mut self, name: &str) -> WorkerId {
        let id = self.pool.register(worker(name), Capacity::new(1)).unwrap();
        self.check();
        id
    }

    /// Registers a worker, which then becomes active.
    pub(crate) fn reg(&mut self, name: &str) -> WorkerId {
        let id = self.register(name);
        self.activate(id, WORKER);
        id
    }

    pub(crate) fn activate(&mut self, worker: WorkerId, reason: InactiveReason) {
        self.pool.set_active(worker, reason, true).unwrap();
        self.check();
    }

    pub(crate) fn deactivate(&mut self, worker: WorkerId, reason: InactiveReason) {
        self.pool.set_active(worker, reason, false).unwrap();
        self.check();
    }

    /// A worker gives a sign of life.
    pub(crate) fn heard(&mut self, worker: WorkerId) {
        self.silent.remove(&worker);
        self.pool.heard_from(worker, self.now).unwrap();
        self.check();
    }

    /// A worker gives none for so long that it counts as not answering.
    pub(crate) fn falls_silent(&mut self, worker: WorkerId) {
        // What it was given before that is its own.
        self.pause();
        self.silent.insert(worker);
        self.deactivate(worker, SILENT);
    }

    /// Returns who was to be asked whether it is there since last asked, by name.
    pub(crate) fn asked(&mut self) -> String {
        self.pause();
        let workers = self.pool.workers();
        let name = |id| {
            let known = workers
                .iter()
                .find(|worker| worker.registration == Some(id));
            known.map_or("gone", |worker| worker.name.as_str())
        };
        let names: Vec<_> = self.asked.drain(..).map(name).collect();
        names.join(" ")
    }

    /// A worker comes back under its name, and the scheduler gives up its old registration.
    pub(crate) fn take_over(&mut self, name: &str) -> WorkerId {
        if let Some(old) = self.pool.registration(&worker(name)) {
            self.release(old);
            let new = self.register(name);
            self.late(old);
            return new;
        }
        self.register(name)
    }

    pub(crate) fn pop(&mut self, worker: WorkerId) -> PopId {
        let pop = self.pool.pop(worker).unwrap();
        self.check();
        pop
    }

    pub(crate) fn cancel_pop(&mut self, pop: PopId) -> bool {
        let outstanding = self.pool.cancel_pop(pop);
        self.check();
        outstanding
    }

    pub(crate) fn finish(&mut self, job: &str) {
        self.pool.job_finished(self.tickets[job]);
        self.check();
    }

    pub(crate) fn release(&mut self, worker: WorkerId) {
        self.pool.release(worker);
        self.check();
    }

    /// Something arrives late from a registration that has ended: nothing may come of it.
    pub(crate) fn late(&mut self, worker: WorkerId) {
        self.pause();
        let before = self.dump();
        assert_eq!(self.pool.pop(worker), Err(Disconnected));
        assert_eq!(
            self.pool.set_active(worker, WORKER, false),
            Err(Disconnected)
        );
        assert_eq!(self.pool.heard_from(worker, self.now), Err(Disconnected));
        self.pool.release(worker);
        self.check();
        assert_eq!((self.pool.poll_effect(), self.dump()), (None, before));
    }

    /// An admin pauses or unpauses a worker by name, seen before or not.
    pub(crate) fn set_paused(&mut self, name: &str, paused: bool) {
        self.pool.set_paused(&worker(name), paused, true).unwrap();
        self.check();
    }

    /// An admin has a worker forgotten, unless it is unknown or connected.
    pub(crate) fn forget(&mut self, name: &str) -> Result<(), ForgetError> {
        let forgotten = self.pool.forget(&worker(name));
        self.check();
        forgotten
    }

    /// Pops jobs until a pop has to wait, then releases the worker. Returns the jobs.
    pub(crate) fn flush(&mut self, worker: WorkerId) -> String {
        let mut jobs = Vec::new();
        loop {
            let pop = self.pop(worker);
            self.pause();
            match self.answer(pop) {
                job if job == "pending" => break,
                job => jobs.push(job),
            }
        }
        self.release(worker);
        jobs.join(" ")
    }

    // Clients.

    pub(crate) fn rate(&mut self, client: &str, rate: f64) {
        self.pool
            .set_rate(&self::client(client), Rate::new(rate).unwrap());
        self.check();
    }

    pub(crate) fn submit(&mut self, client: &str, job: &str, hint: &str) -> TicketId {
        self.submit_as(client, job, hint, false)
    }

    pub(crate) fn submit_urgent(&mut self, client: &str, job: &str, hint: &str) -> TicketId {
        self.submit_as(client, job, hint, true)
    }

    fn submit_as(&mut self, client: &str, job: &str, hint: &str, urgent: bool) -> TicketId {
        let ticket = self
            .pool
            .submit(self.now, &self::client(client), hint, urgent);
        self.jobs.insert(ticket, job.to_owned());
        self.tickets.insert(job.to_owned(), ticket);
        self.check();
        ticket
    }

    /// A job is queued again whose fair start is this many seconds from now.
    pub(crate) fn submit_again(
        &mut self,
        client: &str,
        job: &str,
        fair_start: i64,
        was_assigned: bool,
    ) -> TicketId {
        let place = Place {
            fair_start: Time::from_micros(self.now.micros() + fair_start * 1_000_000),
            was_assigned,
        };
        let client = self::client(client);
        let ticket = self.pool.submit_again(self.now, &client, "", false, place);
        self.jobs.insert(ticket, job.to_owned());
        self.tickets.insert(job.to_owned(), ticket);
        self.check();
        ticket
    }

    pub(crate) fn cancel(&mut self, ticket: TicketId) -> Cancel {
        let cancelled = self.pool.cancel(ticket);
        if cancelled == Cancel::Cancelled {
            self.cancelled.insert(ticket);
        }
        self.check();
        cancelled
    }

    /// Removes a client, and returns those of its jobs that were still queued.
    pub(crate) fn remove_client(&mut self, client: &str) -> String {
        let tickets = self.pool.remove_client(&self::client(client));
        self.cancelled.extend(&tickets);
        self.check();
        let jobs: Vec<_> = tickets
            .iter()
            .map(|ticket| self.jobs[ticket].as_str())
            .collect();
        jobs.join(" ")
    }

    // Time.

    /// Lets the clock run without telling the pool.
    pub(crate) fn seconds_pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Lets the clock run, and tells the pool when it asked to be told.
    pub(crate) fn advance(&mut self, seconds: u64) {
        self.seconds_pass(seconds);
        let due = |deadline| deadline <= self.now;
        if self.pool.next_deadline().is_some_and(due) {
            self.pool.advance(self.now);
            self.check();
            let next = self.pool.next_deadline();
            assert!(
                next.is_none_or(|next| next > self.now),
                "asks for the same time again"
            );
        }
    }

    // What the scheduler sees.

    /// Performs all effects: workers take what was assigned to them.
    pub(crate) fn pause(&mut self) {
        while let Some(effect) = self.pool.poll_effect() {
            self.check();
            self.perform(effect);
        }
        self.check_accounts();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Deliver {
                pop,
                ticket,
                worker,
                ..
            } => {
                assert!(
                    !self.silent.contains(&worker),
                    "a job for one that is silent"
                );
                self.answer_with(pop, Answer::Job(ticket));
            }
            Effect::Probe { worker } => self.asked.push(worker),
            Effect::PopFailed { pop } => self.answer_with(pop, Answer::Failed),
            Effect::SaveCached { hint, worker } => {
                assert!(!hint.is_none(), "the empty hint is saved");
                self.database.cached.push((hint, worker));
            }
            Effect::ForgetCached { hint, worker } => {
                let row = (hint, worker);
                self.database.cached.retain(|cached| *cached != row);
            }
            Effect::SavePaused { worker, paused } => {
                self.database.workers.insert(worker, paused);
            }
            Effect::SaveRate { client, rate } => {
                self.database.rates.insert(client, rate);
            }
            Effect::ForgetWorker { worker } => {
                self.database.workers.remove(&worker);
                self.database.cached.retain(|(_, by)| *by != worker);
            }
            Effect::RunningChanged { worker, running } => {
                self.running.push(format!("{worker} {running}"));
            }
            Effect::Decided(decision) => self.log.push(decision.to_string()),
        }
    }

    fn answer_with(&mut self, pop: PopId, answer: Answer) {
        let before = self.answers.insert(pop, answer);
        assert!(before.is_none(), "pop {pop} is answered twice");
    }

    /// Checks from outside what the pool checks from inside: each ticket that was submitted is
    /// queued, delivered or cancelled, and only one of them; and what was saved is what is known.
    fn check_accounts(&self) {
        let mut ends: BTreeMap<TicketId, Vec<&str>> = BTreeMap::new();
        for item in self.queued() {
            ends.entry(item).or_default().push("queued");
        }
        for answer in self.answers.values() {
            if let Answer::Job(ticket) = answer {
                ends.entry(*ticket).or_default().push("delivered");
            }
        }
        for ticket in &self.cancelled {
            ends.entry(*ticket).or_default().push("cancelled");
        }
        for (ticket, job) in &self.jobs {
            match ends.get(ticket).map_or(&[][..], Vec::as_slice) {
                [_] => {}
                [] => panic!("{job} is lost\n{}", self.dump()),
                several => panic!("{job} is {}\n{}", several.join(" and "), self.dump()),
            }
        }
        let again = Pool::new(CONFIG, self.database.clone());
        let known = |pool: &Pool| -> BTreeMap<_, _> {
            pool.workers()
                .into_iter()
                .map(|worker| (worker.name, worker.paused))
                .collect()
        };
        assert_eq!(known(&again), known(&self.pool), "workers after a restart");
        let mut cached = self.pool.cached();
        cached.retain(|(hint, _)| !hint.is_none());
        assert_eq!(again.cached(), cached, "cached after a restart");
    }

    /// Returns the tickets in the backlog and in workers' queues.
    fn queued(&self) -> Vec<TicketId> {
        let snapshot = self.pool.snapshot(self.now, usize::MAX);
        let mut queues: Vec<_> = snapshot.workers.into_iter().map(|w| w.queue).collect();
        if let WaitingView::Backlog(backlog) = snapshot.waiting {
            queues.push(backlog);
        }
        queues
            .into_iter()
            .flat_map(|queue| queue.first)
            .map(|item| item.ticket)
            .collect()
    }

    /// Returns the job with which a pop was answered, or "pending", or "failed".
    pub(crate) fn answer(&self, pop: PopId) -> String {
        match self.answers.get(&pop) {
            Some(Answer::Job(ticket)) => self.jobs[ticket].clone(),
            Some(Answer::Failed) => "failed".to_owned(),
            None => "pending".to_owned(),
        }
    }

    /// Returns what has been saved so far.
    pub(crate) fn database(&mut self) -> &Remembered {
        self.pause();
        &self.database
    }

    /// Returns the decisions since last asked, a line each.
    pub(crate) fn log(&mut self) -> String {
        self.pause();
        lines(&mut self.log)
    }

    /// Returns the changes of running jobs since last asked, a line each.
    pub(crate) fn running(&mut self) -> String {
        self.pause();
        lines(&mut self.running)
    }

    pub(crate) fn dump(&self) -> String {
        let mut snapshot = self.pool.snapshot(self.now, usize::MAX);
        let mut queues: Vec<_> = snapshot.workers.iter_mut().map(|w| &mut w.queue).collect();
        if let WaitingView::Backlog(backlog) = &mut snapshot.waiting {
            queues.push(backlog);
        }
        for item in queues.into_iter().flat_map(|queue| &mut queue.first) {
            item.label = self.jobs[&item.ticket].clone();
        }
        format!("{snapshot}{}", self.pool.show_cached())
    }

    /// Compares the whole state.
    pub(crate) fn expect(&self, state: Expect) {
        // Nothing follows "clients: " where there are none; editors dislike the space.
        let dump = self.dump();
        let lines = dump.lines().map(str::trim_end);
        state.assert_eq(&lines.fold(String::new(), |text, line| text + line + "\n"));
    }

    /// Ends the story: everybody leaves, after which no metric of the workers may be above zero.
    pub(crate) fn end(mut self) {
        self.pause();
        let names: Vec<_> = self
            .pool
            .workers()
            .into_iter()
            .map(|worker| worker.name)
            .collect();
        for name in names {
            if let Some(worker) = self.pool.registration(&name) {
                self.release(worker);
            }
        }
        self.pause();
        let stats = self.pool.stats();
        assert_eq!(
            (
                stats.connected,
                stats.capacity,
                stats.ready,
                stats.paused,
                stats.workers.len()
            ),
            (0, 0, 0, 0, 0)
        );
    }

    fn check(&self) {
        if let Err(problem) = self.pool.check() {
            panic!("{problem}\n{}", self.dump());
        }
    }
}

fn lines(lines: &mut Vec<String>) -> String {
    lines.drain(..).fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    })
}

pub(crate) fn worker(name: &str) -> WorkerName {
    WorkerName::new(name).unwrap()
}

pub(crate) fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}
