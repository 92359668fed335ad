//! When queued jobs are expected to start and to end, from running the pool itself forward.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use crate::chance::Random;
use crate::outlook::{Expectations, Outlook};
use crate::times::Expected;
use crate::{Effect, Pool, TicketId, Time, WorkerId};

/// How often the pool is run forward. The ranges come from this many runs.
const RUNS: usize = 31;

/// When a job is expected to start and to end. Four of five jobs start in the first range, and four of five end in the
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The earliest and the latest start; of a job that runs, twice when it started.
    pub start: (Time, Time),
    /// The earliest and the latest end.
    pub end: (Time, Time),
}

/// A job in one run.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: Time,
    end: Time,
}

impl Outlook {
    /// Returns when the queued and the running jobs are expected to start and to end, as far as that can be known. The
    /// same `seed` gives the same answer.
    pub fn forecast(&self, seed: u64) -> BTreeMap<TicketId, Forecast> {
        let Some(expectations) = self.expectations() else {
            return BTreeMap::new();
        };
        let mut random = Random::new(seed);
        let mut runs: BTreeMap<TicketId, Vec<Run>> = BTreeMap::new();
        for _ in 0..RUNS {
            for (ticket, run) in Course::new(&self.pool, &expectations, &mut random).run() {
                runs.entry(ticket).or_default().push(run);
            }
        }
        let ranges = runs.into_iter().filter_map(|(ticket, runs)| {
            let forecast = Forecast {
                start: range(runs.iter().map(|run| run.start).collect())?,
                end: range(runs.iter().map(|run| run.end).collect())?,
            };
            Some((ticket, forecast))
        });
        ranges.collect()
    }
}

/// Returns the range from the tenth to the ninetieth of a hundred; `None` if it has no end, as the job never started in
/// some of the runs.
fn range(mut times: Vec<Time>) -> Option<(Time, Time)> {
    times.sort_unstable();
    // Between two runs, in tenths of their distance.
    let at = |tenth: usize| {
        let place = (RUNS + 1) * tenth - 10;
        let (low, high) = (*times.get(place / 10)?, *times.get(place / 10 + 1)?);
        let part = u32::try_from(place % 10).ok()?;
        Some(low + high.since(low) * part / 10)
    };
    Some((at(1)?, at(9)?))
}

/// One run of the pool into the future.
struct Course<'a> {
    expectations: &'a Expectations,
    pool: Pool,
    random: &'a mut Random,
    /// For each hint, how far its jobs are from what is known of it: warm ones, and cold ones.
    shifts: Vec<[i32; 2]>,
    ends: BTreeSet<(Time, TicketId, WorkerId)>,
    runs: BTreeMap<TicketId, Run>,
}

impl<'a> Course<'a> {
    fn new(pool: &Pool, expectations: &'a Expectations, random: &'a mut Random) -> Self {
        let mut shifts = alloc::vec![[0; 2]; expectations.hints];
        let mut is_drawn = alloc::vec![false; expectations.hints];
        for job in expectations.jobs.values() {
            if let Some(hint) = job.hint
                && !mem::replace(&mut is_drawn[hint], true)
            {
                shifts[hint] = [random.shift(job.warm), random.shift(job.cold)];
            }
        }
        Self {
            expectations,
            pool: pool.clone(),
            random,
            shifts,
            ends: BTreeSet::new(),
            runs: BTreeMap::new(),
        }
    }

    fn run(mut self) -> BTreeMap<TicketId, Run> {
        self.begin();
        // Each ticket starts once and may move a few times before.
        for _ in 0..8 * self.expectations.jobs.len() + 8 {
            self.perform();
            if self.runs.len() == self.expectations.jobs.len() {
                break;
            }
            let end = self.ends.first().copied();
            let deadline = self.pool.next_deadline();
            match (end, deadline) {
                (Some((end, ..)), Some(deadline)) if deadline < end => self.pool.advance(deadline),
                (None, Some(deadline)) => self.pool.advance(deadline),
                (Some(end), _) => self.end(end),
                // No worker takes what is left.
                (None, None) => break,
            }
        }
        self.runs
    }

    /// What runs has run for a while, and workers that answer ask for jobs.
    fn begin(&mut self) {
        let now = self.pool.now;
        let mut ids = Vec::new();
        let mut running = Vec::new();
        for (slot, _, worker) in self.pool.workers.connected() {
            let Some(id) = self.pool.workers.id(slot) else {
                continue;
            };
            ids.push(id);
            running.extend(
                worker
                    .running
                    .iter()
                    .map(|(job, run)| (*job, run.since, id)),
            );
        }
        for (ticket, since, worker) in running {
            let Some((expected, shift)) = self.expected(ticket) else {
                continue;
            };
            let left = self.random.remaining(expected, shift, now.since(since));
            let end = now + left;
            self.runs.insert(ticket, Run { start: since, end });
            self.ends.insert((end, ticket, worker));
        }
        for id in ids {
            // They were connected just now.
            let _: Result<(), _> = self.pool.heard_from(id, now);
            self.ask(id);
        }
    }

    /// A worker with room asks for a job.
    fn ask(&mut self, id: WorkerId) {
        let has_room = self.pool.workers.get(id.slot).is_some_and(|worker| {
            let capacity = usize::try_from(worker.capacity.max(1)).unwrap_or(usize::MAX);
            worker.is_active() && worker.pops.is_empty() && worker.running.len() < capacity
        });
        if has_room {
            // It is connected.
            let _: Result<_, _> = self.pool.pop(id);
        }
    }

    fn perform(&mut self) {
        while let Some(effect) = self.pool.poll_effect() {
            if let Effect::Deliver { worker, ticket, .. } = effect {
                self.started(ticket, worker);
                self.ask(worker);
            }
        }
    }

    fn started(&mut self, ticket: TicketId, worker: WorkerId) {
        if let Some((expected, shift)) = self.expected(ticket) {
            let start = self.pool.now;
            let end = start + self.random.duration(expected, shift);
            self.runs.insert(ticket, Run { start, end });
            self.ends.insert((end, ticket, worker));
        }
    }

    fn end(&mut self, (end, ticket, worker): (Time, TicketId, WorkerId)) {
        self.ends.remove(&(end, ticket, worker));
        self.pool.advance(end);
        self.pool.job_finished(ticket);
        self.ask(worker);
    }

    /// Returns what is expected of a job that runs.
    fn expected(&self, ticket: TicketId) -> Option<(Expected, i32)> {
        let job = self.expectations.jobs.get(&ticket)?;
        let is_warm = self.pool.tickets.get(&ticket)?.is_warm;
        let [warm, cold] = job.hint.map_or([0; 2], |hint| self.shifts[hint]);
        Some(if is_warm {
            (job.warm, warm)
        } else {
            (job.cold, cold)
        })
    }
}
