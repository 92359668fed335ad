//! A scheduler with its disk, workers and clients, as the jobs see them; and the promises, checked after each step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jobs::{
    AttemptEnd, AttemptId, CancelledBy, Change, ChangeId, Config, Effect, Fault, HeldAnswer, JobId,
    JobKey, Jobs, LossReason, NewJob, Outcome, RequestId, ReturnTimeouts, Stage, Terms, Unwatched,
};
use pool::{CacheHint, ClientId, Time};

use super::counts::Counts;
use super::disk::Disk;
use super::history::{Mistake, Step};
use super::worker::{Message, Worker};

const RETURN_TIMEOUT: Duration = Duration::from_secs(300);
const CLIENTS: [&str; 2] = ["alice", "bob"];
const POOL: &str = "pool";

/// What somebody waits for.
#[derive(Clone, Debug)]
enum Request {
    Submit {
        client: ClientId,
        key: Option<JobKey>,
    },
    Cancel,
    Return {
        worker: usize,
        held: Vec<AttemptId>,
    },
}

pub(crate) struct World {
    mistake: Option<Mistake>,
    now: Time,
    jobs: Jobs,
    disk: Disk,
    /// Changes on their way to the disk.
    unsaved: VecDeque<(ChangeId, Change)>,
    /// The pool's queue.
    queue: Vec<JobId>,
    /// The fair start times that the pool has given.
    next_place: i64,
    workers: Vec<Worker>,
    requests: BTreeMap<RequestId, Request>,
    last_request: u64,
    last_id: u64,
    /// The ids that clients were given.
    accepted: BTreeSet<JobId>,
    keys: BTreeMap<(ClientId, JobKey), JobId>,
    cancelled: BTreeSet<JobId>,
    /// The outcomes that watchers were shown.
    shown: BTreeMap<JobId, Outcome>,
    started: BTreeSet<AttemptId>,
    pub(crate) seen: Counts,
}

impl World {
    pub(crate) fn new(mistake: Option<Mistake>) -> Self {
        Self {
            mistake,
            now: Time::from_secs(1_000),
            jobs: Jobs::new(config(mistake)),
            disk: Disk::default(),
            unsaved: VecDeque::new(),
            queue: Vec::new(),
            next_place: 0,
            // The last one is of upstream's kind.
            workers: vec![
                Worker::new("w1", true),
                Worker::new("w2", true),
                Worker::new("w3", false),
            ],
            requests: BTreeMap::new(),
            last_request: 0,
            last_id: 0,
            accepted: BTreeSet::new(),
            keys: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            shown: BTreeMap::new(),
            started: BTreeSet::new(),
            seen: Counts::default(),
        }
    }

    /// Has a step happen, if it can.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub(crate) fn live(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Submit { client, key, terms } => self.submit(client, key, terms)?,
            Step::Cancel { job } => self.cancel(job)?,
            Step::Leave { job, departure } => {
                if let Some(id) = nth(self.accepted.iter(), job) {
                    self.jobs.unwatch(self.now, id, departure);
                }
            }
            Step::ComeBack { job } => {
                if let Some(id) = nth(self.accepted.iter(), job) {
                    self.jobs.watch(id);
                }
            }
            Step::Commit { changes } => self.commit(changes)?,
            Step::FailCommit => self.fail_commit(),
            Step::Crash { saved } => self.crash(saved)?,
            Step::Assign { job, worker } => self.assign(job, worker),
            Step::MissWorker { job } => {
                if !self.queue.is_empty() {
                    let id = self.queue.remove(job % self.queue.len());
                    self.jobs.queue_again(id);
                    self.count("missed worker");
                }
            }
            Step::Deliver { worker } => self.workers[worker].receive()?,
            Step::Finish {
                worker,
                which,
                success,
            } => self.workers[worker].finish(which, success),
            Step::Report { worker } => self.report(worker),
            Step::KeepLog { worker, which } => self.keep_log(worker, which),
            Step::Disconnect { worker } => self.disconnect(worker),
            Step::Restart { worker } => {
                self.disconnect(worker);
                self.workers[worker].restart();
            }
            Step::Replace { worker } => {
                self.disconnect(worker);
                self.workers[worker].replace();
            }
            Step::Connect { worker } => self.connect(worker),
            Step::Advance { seconds } => {
                self.now = self.now + Duration::from_secs(seconds);
                for worker in self.workers.iter_mut().filter(|worker| worker.connected) {
                    worker.last_connected = self.now;
                }
                self.jobs.advance(self.now);
            }
        }
        self.perform()?;
        self.jobs.check()
    }

    /// Everything recovers: the disk takes all, workers return, builds end, time passes.
    ///
    /// # Errors
    ///
    /// The promise that is broken; a job that has not ended is one.
    pub(crate) fn recover(&mut self) -> Result<(), String> {
        for round in 0..40 {
            self.live(Step::Commit {
                changes: usize::MAX,
            })?;
            for worker in 0..self.workers.len() {
                self.live(Step::Connect { worker })?;
                self.live(Step::Commit {
                    changes: usize::MAX,
                })?;
                if round < 30 {
                    self.live(Step::Assign { job: round, worker })?;
                }
                self.live(Step::Commit {
                    changes: usize::MAX,
                })?;
                while !self.workers[worker].messages.is_empty() {
                    self.live(Step::Deliver { worker })?;
                }
                for which in 0..self.workers[worker].attempts.len() {
                    self.live(Step::Finish {
                        worker,
                        which,
                        success: true,
                    })?;
                }
                self.live(Step::Report { worker })?;
                for which in 0..self.workers[worker].attempts.len() {
                    self.live(Step::KeepLog { worker, which })?;
                }
            }
            if round % 8 == 7 {
                self.live(Step::Advance { seconds: 301 })?;
            }
        }
        let queued = self.queue.len();
        for id in &self.accepted {
            let row = self
                .disk
                .row(*id)
                .ok_or_else(|| format!("accepted means kept: {id} is gone"))?;
            let outcome = row.outcome.as_ref();
            if outcome.is_none() && queued == 0 {
                return Err(format!(
                    "accepted means kept: {id} never ends; {:?}",
                    self.jobs.stage(*id)
                ));
            }
            if self.cancelled.contains(id) && !matches!(outcome, Some(Outcome::Cancelled(_))) {
                return Err(format!(
                    "cancelled means cancelled: {id} ended as {outcome:?}"
                ));
            }
        }
        for worker in &self.workers {
            if worker.attempts.len() > queued {
                return Err(format!(
                    "one outcome: {} still holds {:?}",
                    worker.name, worker.attempts
                ));
            }
        }
        Ok(())
    }

    fn request(&mut self, request: Request) -> RequestId {
        self.last_request += 1;
        self.requests.insert(RequestId(self.last_request), request);
        RequestId(self.last_request)
    }

    fn submit(&mut self, client: usize, key: Option<usize>, terms: usize) -> Result<(), String> {
        let client = ClientId::new(CLIENTS[client]).expect("a good name");
        let key = key.map(|key| JobKey::new(&format!("key{key}")).expect("a good key"));
        // What the caller must do: jobs that have ended are looked up by their keys on disk. One that has ended and
        // is not saved yet is still in memory.
        if let Some(key) = &key
            && self.jobs.with_key(&client, key).is_none()
            && let Some(job) = self
                .disk
                .with_key(&client, key)
                .filter(|id| self.ended_on_disk(*id))
        {
            return self.accept(job, client, Some(key.clone()));
        }
        self.last_id += 1;
        let new = NewJob {
            id: JobId::from_bits(self.last_id),
            client: client.clone(),
            pool: POOL.into(),
            hint: CacheHint::new(""),
            urgent: false,
            key: key.clone(),
            terms: some_terms(terms),
        };
        let request = self.request(Request::Submit { client, key });
        self.jobs.submit(self.now, new, request);
        Ok(())
    }

    fn ended_on_disk(&self, id: JobId) -> bool {
        self.disk.row(id).is_some_and(|row| row.outcome.is_some())
    }

    fn accept(&mut self, job: JobId, client: ClientId, key: Option<JobKey>) -> Result<(), String> {
        if self.disk.row(job).is_none() {
            return Err(format!(
                "durable before reported: {job} is accepted, and not on disk"
            ));
        }
        self.accepted.insert(job);
        if let Some(key) = key
            && let Some(before) = self.keys.insert((client, key.clone()), job)
            && before != job
        {
            return Err(format!(
                "same key, same job: {key:?} was {before}, and is {job}"
            ));
        }
        Ok(())
    }

    fn cancel(&mut self, job: usize) -> Result<(), String> {
        if let Some(id) = nth(self.accepted.iter(), job) {
            let request = self.request(Request::Cancel);
            if self
                .jobs
                .cancel(self.now, id, CancelledBy::Client, request)
                .is_err()
            {
                self.requests.remove(&request);
                self.check_ended(id)?;
            }
        }
        Ok(())
    }

    /// A client was told that a job has ended.
    fn check_ended(&self, job: JobId) -> Result<(), String> {
        match self.disk.row(job).and_then(|row| row.outcome.as_ref()) {
            Some(_) => Ok(()),
            None => Err(format!(
                "durable before reported: {job} is said to have ended, and has not on disk"
            )),
        }
    }

    fn commit(&mut self, changes: usize) -> Result<(), String> {
        let mut last = None;
        for (number, change) in self.unsaved.drain(..changes.min(self.unsaved.len())) {
            let skipped = self.mistake == Some(Mistake::SkipsCommits) && number.0 % 7 == 0;
            if !skipped {
                self.disk.save(&change)?;
            }
            last = Some(number);
        }
        if let Some(last) = last {
            self.jobs.committed(last);
        }
        Ok(())
    }

    /// The disk is full. The changes stay, but for those of jobs that are refused.
    fn fail_commit(&mut self) {
        if let Some((last, _)) = self.unsaved.back() {
            self.jobs.not_committed(*last);
        }
    }

    /// The scheduler is killed; some of what it had not saved may be on disk nevertheless.
    fn crash(&mut self, saved: usize) -> Result<(), String> {
        let on_disk = saved.min(self.unsaved.len());
        for (_, change) in self.unsaved.drain(..on_disk) {
            self.disk.save(&change)?;
        }
        self.unsaved.clear();
        self.queue.clear();
        self.requests.clear();
        for worker in &mut self.workers {
            worker.disconnect();
            worker.last_connected = self.now;
        }
        self.jobs = Jobs::restore(config(self.mistake), self.now, self.disk.unfinished());
        self.count("restart");
        Ok(())
    }

    fn assign(&mut self, job: usize, worker: usize) {
        if self.queue.is_empty() || !self.workers[worker].connected {
            return;
        }
        let id = self.queue.remove(job % self.queue.len());
        let Worker { name, survives, .. } = &self.workers[worker];
        self.jobs
            .assign(self.now, id, name, *survives)
            .unwrap_or_else(|| panic!("{id} is in the queue, and {:?}", self.jobs.stage(id)));
    }

    fn report(&mut self, worker: usize) {
        let from = &mut self.workers[worker];
        if from.connected {
            for (id, end) in from.take_ends() {
                self.jobs.attempt_ended(self.now, id, &from.name, end);
            }
        }
    }

    fn keep_log(&mut self, worker: usize, which: usize) {
        let from = &mut self.workers[worker];
        let ended = from
            .attempts
            .iter()
            .filter(|(_, end)| end.is_some())
            .map(|(id, _)| id);
        if from.connected
            && let Some(id) = nth(ended, which)
        {
            from.logs_kept.push(id);
            self.jobs.log_kept(id, &from.name);
        }
    }

    fn disconnect(&mut self, which: usize) {
        let worker = &mut self.workers[which];
        if worker.connected {
            worker.last_connected = self.now;
            worker.disconnect();
            self.jobs.worker_left(self.now, POOL, &worker.name);
            self.requests.retain(
                |_, request| !matches!(request, Request::Return { worker, .. } if *worker == which),
            );
        }
    }

    fn connect(&mut self, worker: usize) {
        let which = worker;
        let worker = &mut self.workers[worker];
        if !worker.connected {
            worker.connected = true;
            let held = worker.held();
            let name = worker.name.clone();
            let ids = held.iter().map(|held| held.attempt).collect();
            let request = self.request(Request::Return {
                worker: which,
                held: ids,
            });
            self.jobs
                .worker_returned(self.now, POOL, &name, held, request);
        }
    }

    /// Does what the jobs ask for.
    fn perform(&mut self) -> Result<(), String> {
        while let Some(effect) = self.jobs.next_effect() {
            match effect {
                Effect::Save(number, change) => {
                    self.check_loss(&change)?;
                    self.unsaved.push_back((number, change));
                }
                Effect::Enqueue {
                    job, fair_start, ..
                } => self.enqueue(job, fair_start)?,
                Effect::Unassign { .. } => self.count("unassignment"),
                Effect::Withdraw { job } => self.queue.retain(|queued| *queued != job),
                Effect::Start { attempt, worker } => {
                    self.start(attempt)?;
                    self.send(&worker, Message::Start(attempt));
                }
                Effect::Stop { attempt, worker } => {
                    self.count("stop");
                    self.send(&worker, Message::Stop(attempt));
                }
                Effect::Acknowledge { attempt, worker } => {
                    self.check_acknowledged(attempt)?;
                    self.send(&worker, Message::Acknowledge(attempt));
                }
                Effect::Answer { request, job } => self.answer(request, job)?,
                Effect::AnswerEnded { request, job } => {
                    self.count("cancel too late");
                    self.requests.remove(&request);
                    self.check_ended(job)?;
                }
                Effect::Refuse { request, job } => {
                    self.count("refusal");
                    self.requests.remove(&request);
                    self.unsaved.retain(|(_, change)| change.job() != job);
                }
                Effect::AnswerReturn { request, held } => self.answer_return(request, &held)?,
                Effect::Changed { job, stage, .. } => self.show(job, stage)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, worker: &pool::WorkerName, message: Message) {
        let to = self
            .workers
            .iter_mut()
            .find(|to| to.name == *worker && to.connected);
        if let Some(to) = to {
            to.messages.push_back(message);
        }
    }

    fn enqueue(&mut self, job: JobId, fair_start: Option<Time>) -> Result<(), String> {
        let saved = self.disk.row(job).and_then(|row| row.saved.fair_start);
        if saved.is_some() && saved != fair_start {
            return Err(format!(
                "{job} loses its place: it was {saved:?}, and is {fair_start:?}"
            ));
        }
        if self.queue.contains(&job) {
            return Err(format!("{job} is queued twice"));
        }
        self.queue.push(job);
        self.next_place += 1;
        self.jobs
            .placed(job, fair_start.unwrap_or(Time::from_secs(self.next_place)));
        Ok(())
    }

    fn start(&mut self, attempt: AttemptId) -> Result<(), String> {
        self.count("start");
        let known = self
            .disk
            .row(attempt.job)
            .is_some_and(|row| row.saved.attempts >= attempt.number);
        if !known {
            return Err(format!(
                "durable before reported: {attempt} starts, and is not on disk"
            ));
        }
        if !self.started.insert(attempt) {
            return Err(format!("the log stays: {attempt} starts a second time"));
        }
        Ok(())
    }

    /// An attempt is lost only if its worker was away for the whole return timeout, or cannot have kept it.
    fn check_loss(&mut self, change: &Change) -> Result<(), String> {
        let (Some((Some(number), AttemptEnd::Lost(reason))), job) =
            (change.attempt_end(), change.job())
        else {
            return Ok(());
        };
        let attempt = &AttemptId { job, number };
        self.count("loss");
        let holder = self
            .workers
            .iter()
            .find(|worker| worker.attempts.contains_key(attempt));
        let Some(holder) = holder else { return Ok(()) };
        if let Some(Some(AttemptEnd::Done(verdict))) = holder.attempts.get(attempt)
            && reason != LossReason::WorkerGone
        {
            return Err(format!(
                "bounded retries: {attempt} ended as {verdict:?}, and is lost because of {reason:?}"
            ));
        }
        let in_time = self.now < holder.last_connected + RETURN_TIMEOUT;
        let runs = holder.attempts.get(attempt).is_some_and(Option::is_none);
        let excused = matches!(reason, LossReason::WorkerGone) && !in_time;
        if runs && holder.survives && !excused {
            return Err(format!(
                "running jobs go on: {} runs {attempt}, lost because of {reason:?}",
                holder.name
            ));
        }
        Ok(())
    }

    fn check_acknowledged(&mut self, attempt: AttemptId) -> Result<(), String> {
        self.count("acknowledgement");
        let saved = self
            .disk
            .row(attempt.job)
            .is_some_and(|row| row.ends.contains_key(&attempt.number));
        if !saved {
            return Err(format!(
                "one outcome: the end of {attempt} is acknowledged, and not on disk"
            ));
        }
        if !self
            .workers
            .iter()
            .any(|worker| worker.logs_kept.contains(&attempt))
        {
            return Err(format!(
                "the log stays: {attempt} is acknowledged, and its log is not kept"
            ));
        }
        Ok(())
    }

    fn answer(&mut self, request: RequestId, job: JobId) -> Result<(), String> {
        match self.requests.remove(&request) {
            Some(Request::Submit { client, key }) => self.accept(job, client, key),
            Some(Request::Cancel) => {
                self.count("cancel");
                self.cancelled.insert(job);
                match self.disk.row(job).and_then(|row| row.outcome.as_ref()) {
                    Some(Outcome::Cancelled(_)) => Ok(()),
                    other => Err(format!(
                        "cancelled means cancelled: {job} is answered, and on disk {other:?}"
                    )),
                }
            }
            Some(Request::Return { .. }) => Err("a worker gets a client's answer".to_owned()),
            // The scheduler has crashed since.
            None => Ok(()),
        }
    }

    fn answer_return(&mut self, request: RequestId, answers: &[HeldAnswer]) -> Result<(), String> {
        let Some(Request::Return { worker, held }) = self.requests.remove(&request) else {
            return Ok(());
        };
        if answers.len() != held.len() {
            return Err(format!(
                "{} answers for {} attempts",
                answers.len(),
                held.len()
            ));
        }
        for (id, answer) in held.into_iter().zip(answers) {
            let latest = self
                .disk
                .row(id.job)
                .is_some_and(|row| row.saved.attempts == id.number);
            match answer {
                HeldAnswer::Keep if !latest && self.workers[worker].runs(id) => {
                    return Err(format!(
                        "one outcome: {id} is adopted, and is not the latest attempt"
                    ));
                }
                HeldAnswer::Keep => self.count("adoption"),
                HeldAnswer::Forget => {
                    self.count("supersession");
                    self.workers[worker].attempts.remove(&id);
                }
            }
        }
        Ok(())
    }

    fn show(&mut self, job: JobId, stage: Stage) -> Result<(), String> {
        let Stage::Ended { outcome, .. } = stage else {
            return match self.shown.get(&job) {
                Some(before) => Err(format!(
                    "one outcome: {job} ended as {before:?}, and goes on"
                )),
                None => Ok(()),
            };
        };
        let on_disk = self.disk.row(job).and_then(|row| row.outcome.as_ref());
        if on_disk != Some(&outcome) {
            return Err(format!(
                "durable before reported: {job} is shown as {outcome:?}, and is {on_disk:?} on disk"
            ));
        }
        self.count(match &outcome {
            Outcome::Done(_) => "done",
            Outcome::Cancelled(CancelledBy::Departure) => "departure",
            Outcome::Cancelled(_) => "cancelled",
            Outcome::TimedOut(_) => "timeout",
            Outcome::Lost(_) => "lost",
        });
        match self.shown.insert(job, outcome.clone()) {
            Some(before) if before != outcome => Err(format!(
                "one outcome: {job} was {before:?}, and is {outcome:?}"
            )),
            _ => Ok(()),
        }
    }

    fn count(&mut self, what: &'static str) {
        self.seen.count(what);
    }
}

fn config(mistake: Option<Mistake>) -> Config {
    let fault: Option<Fault> = match mistake {
        Some(Mistake::Inside(fault)) => Some(fault),
        _ => None,
    };
    Config {
        return_timeout: RETURN_TIMEOUT,
        fault,
    }
}

/// Returns one of a few ways to run a job.
fn some_terms(which: usize) -> Terms {
    let mut terms = Terms::default();
    match which % 6 {
        0 => terms.attempts = std::num::NonZeroU8::MIN,
        1 => terms.queue_limit = Some(Duration::from_secs(400)),
        2 => terms.run_limit = Some(Duration::from_secs(600)),
        3 => terms.silence_limit = Some(Duration::from_secs(200)),
        4 => terms.unwatched = Unwatched::Cancelled(ReturnTimeouts::default()),
        _ => {}
    }
    terms
}

/// Returns one of these, if there are any.
fn nth<'a, T: Copy + 'a>(all: impl Iterator<Item = &'a T> + Clone, which: usize) -> Option<T> {
    let length = all.clone().count();
    all.copied().nth(which.checked_rem(length)?)
}
