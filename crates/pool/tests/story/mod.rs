//! The words in which stories about a pool are told.
//!
//! A [`Story`] holds a pool and everything a scheduler would around it: a database that remembers
//! what the pool asked to save, and the answers to pops. Jobs are called by their own names rather
//! than by their hints, as in upstream's tests; time stands at one second until told otherwise.
//!
//! Every word checks the pool's invariants before it returns.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use expect_test::Expect;
use pool::{
    Cancel, Capacity, ClientId, Config, Cost, Effect, InactiveReason, MainView, Pool, PopId, Rate,
    Remembered, TicketId, Time, WorkerId, WorkerName,
};

/// What jobs cost in stories: small numbers read better.
pub(crate) const COST: Cost = Cost {
    cached: Duration::from_secs(2),
    non_cached: Duration::from_secs(10),
};

pub(crate) const WORKER: InactiveReason = InactiveReason::WorkerPause;
pub(crate) const ADMIN: InactiveReason = InactiveReason::AdminPause;
pub(crate) const SHUTDOWN: InactiveReason = InactiveReason::ShuttingDown;

pub(crate) struct Story {
    pub(crate) pool: Pool,
    pub(crate) now: Time,
    database: Remembered,
    /// Job names by ticket.
    jobs: BTreeMap<TicketId, String>,
    tickets: BTreeMap<String, TicketId>,
    /// What each pop was answered.
    answers: BTreeMap<PopId, Answer>,
    /// Decisions since they were last asked for.
    log: Vec<String>,
    /// `RunningChanged` since last asked for.
    running: Vec<String>,
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
            pool: Pool::new(Config { cost: COST }, database.clone()),
            now: Time::from_secs(1),
            database,
            jobs: BTreeMap::new(),
            tickets: BTreeMap::new(),
            answers: BTreeMap::new(),
            log: Vec::new(),
            running: Vec::new(),
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

    pub(crate) fn cancel(&mut self, ticket: TicketId) -> Cancel {
        let cancelled = self.pool.cancel(ticket);
        self.check();
        cancelled
    }

    // Time.

    /// Lets the clock run without telling the pool.
    pub(crate) fn seconds_pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Lets the clock run, and tells the pool when it asked to be told.
    pub(crate) fn advance(&mut self, seconds: u64) {
        self.seconds_pass(seconds);
        while self
            .pool
            .next_deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.pool.advance(self.now);
            self.check();
        }
    }

    // What the scheduler sees.

    /// Performs all effects: whoever was given something takes it.
    pub(crate) fn pause(&mut self) {
        while let Some(effect) = self.pool.poll_effect() {
            self.check();
            match effect {
                Effect::Deliver { pop, ticket, .. } => {
                    let twice = self.answers.insert(pop, Answer::Job(ticket));
                    assert!(twice.is_none(), "{pop} was answered twice");
                }
                Effect::PopFailed { pop } => {
                    let twice = self.answers.insert(pop, Answer::Failed);
                    assert!(twice.is_none(), "{pop} was answered twice");
                }
                Effect::SaveCached { hint, worker } => self.database.cached.push((hint, worker)),
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
        if let MainView::Backlog(backlog) = &mut snapshot.main {
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
