//! A cluster in virtual time, whose jobs take log-normal times.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pool::{
    Capacity, ClientId, Config, Effect, InactiveReason, JobEnd, Pool, Remembered, TicketId, Time,
    WorkerId, WorkerName,
};

use crate::random::Random;

/// How long the jobs of a hint take: medians, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    pub(crate) warm: f64,
    pub(crate) cold: f64,
    /// The standard deviation of the natural logarithm.
    pub(crate) sigma: f64,
}

/// A job that has started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) client: usize,
    pub(crate) is_warm: bool,
    pub(crate) start: Time,
    pub(crate) end: Time,
}

pub(crate) struct Cluster {
    pub(crate) pool: Pool,
    pub(crate) now: Time,
    pub(crate) random: Random,
    truths: Vec<Truth>,
    /// Of each worker, the hints that it has built.
    workers: BTreeMap<WorkerId, BTreeSet<usize>>,
    /// Whether the pool learns.
    learns: bool,
    queued: BTreeMap<TicketId, (usize, usize)>,
    ends: BTreeSet<(Time, TicketId, WorkerId, usize)>,
    pub(crate) runs: BTreeMap<TicketId, Run>,
    /// The clients whose jobs have started, in that order.
    pub(crate) starts: Vec<usize>,
}

pub(crate) fn client(number: usize) -> ClientId {
    ClientId::new(&format!("client-{number}")).unwrap()
}

/// Returns a number from 0 to 1.
pub(crate) fn share(random: &mut Random) -> f64 {
    random.below(1 << 30) as f64 / f64::from(1 << 30)
}

/// Returns a number of a standard normal distribution.
fn normal(random: &mut Random) -> f64 {
    let (radius, angle) = (1.0 - share(random), share(random));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

impl Cluster {
    pub(crate) fn new(seed: u64, workers: usize, truths: Vec<Truth>, learns: bool) -> Self {
        let mut pool = Pool::new(Config::default(), Remembered::default());
        let workers = (0..workers).map(|n| {
            let name = WorkerName::new(&format!("worker-{n}")).unwrap();
            let worker = pool.register(name, Capacity::new(1)).unwrap();
            let reason = InactiveReason::WorkerPause;
            pool.set_active(worker, reason, true).unwrap();
            pool.pop(worker).unwrap();
            (worker, BTreeSet::new())
        });
        let workers = workers.collect();
        Self {
            pool,
            now: Time::EPOCH,
            random: Random::new(seed),
            truths,
            workers,
            learns,
            queued: BTreeMap::new(),
            ends: BTreeSet::new(),
            runs: BTreeMap::new(),
            starts: Vec::new(),
        }
    }

    pub(crate) fn submit(&mut self, client: usize, hint: usize) -> TicketId {
        self.submit_as(client, hint, &format!("hint-{hint}"))
    }

    /// A job that takes as long as those of a hint, but does not have it: it is cold, wherever it runs.
    pub(crate) fn submit_without_hint(&mut self, client: usize, hint: usize) -> TicketId {
        self.submit_as(client, hint, "")
    }

    fn submit_as(&mut self, client: usize, hint: usize, text: &str) -> TicketId {
        let id = self::client(client);
        let ticket = self.pool.submit(self.now, &id, text, false);
        self.queued.insert(ticket, (client, hint));
        self.perform();
        ticket
    }

    /// Adds a hint, whose number must be the next one.
    pub(crate) fn add_truth(&mut self, hint: usize, truth: Truth) {
        assert_eq!(hint, self.truths.len());
        self.truths.push(truth);
    }

    /// Returns the tickets that no worker has taken.
    pub(crate) fn queued_tickets(&self) -> Vec<TicketId> {
        self.queued.keys().copied().collect()
    }

    /// Returns whether a job is queued or runs.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queued.is_empty() || !self.ends.is_empty()
    }

    /// Lets time pass until the next thing happens; if that is after `end`, until then. Returns whether it was before.
    pub(crate) fn step(&mut self, end: Time) -> bool {
        let next = self.ends.first().copied();
        let deadline = self.pool.next_deadline();
        let time = next.map(|next| next.0).into_iter().chain(deadline).min();
        let time = time.filter(|time| *time <= end);
        let Some(time) = time else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(time);
        self.pool.advance(self.now);
        let ended = next.filter(|next| next.0 <= self.now);
        if let Some((at, ticket, worker, hint)) = ended {
            self.ends.remove(&(at, ticket, worker, hint));
            self.workers.get_mut(&worker).unwrap().insert(hint);
            match self.learns {
                true => self.pool.job_ended(ticket, self.now, JobEnd::Completed),
                false => self.pool.job_finished(ticket),
            }
            self.pool.pop(worker).unwrap();
        }
        self.perform();
        true
    }

    fn perform(&mut self) {
        while let Some(effect) = self.pool.poll_effect() {
            if let Effect::Deliver { worker, ticket, .. } = effect {
                self.start(worker, ticket);
            }
        }
    }

    fn start(&mut self, worker: WorkerId, ticket: TicketId) {
        let (client, hint) = self.queued.remove(&ticket).unwrap();
        let is_warm = self.workers[&worker].contains(&hint);
        let truth = self.truths[hint];
        let median = if is_warm { truth.warm } else { truth.cold };
        let seconds = median * (truth.sigma * normal(&mut self.random)).exp();
        let end = self.now + Duration::from_secs_f64(seconds);
        let run = Run {
            client,
            is_warm,
            start: self.now,
            end,
        };
        self.runs.insert(ticket, run);
        self.starts.push(client);
        self.ends.insert((end, ticket, worker, hint));
    }
}
