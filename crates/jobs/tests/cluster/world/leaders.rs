//! Who leads, what waits for a scheduler that is frozen, and where peers find the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pool::Time;

use super::World;
use crate::cluster::Setup;
use crate::cluster::database::WriteAnswer;
use crate::cluster::events::{Event, Party};
use crate::cluster::network::{ConnectionId, Network, Side};

/// How soon another scheduler leads: what the documentation promises.
const FAILOVER: Duration = Duration::from_secs(10);

/// What is known about the schedulers from outside.
#[derive(Debug)]
pub(super) struct Watch {
    frozen: BTreeSet<usize>,
    /// What happens to frozen schedulers when they are thawed, in order.
    waiting: Vec<(usize, Event)>,
    /// The address at which each worker and client last found a leader.
    found: BTreeMap<Party, usize>,
    /// Since when each scheduler could lead.
    fit: Vec<Option<Time>>,
    /// Since when no scheduler leads that peers can reach.
    leaderless: Option<Time>,
    /// When the latest accident happened: each one may cost the time of a failover.
    pub(super) latest_accident: Time,
}

impl Watch {
    pub(super) fn new(schedulers: usize) -> Self {
        Self {
            frozen: BTreeSet::new(),
            waiting: Vec::new(),
            found: BTreeMap::new(),
            fit: vec![None; schedulers],
            leaderless: None,
            latest_accident: Time::EPOCH,
        }
    }

    pub(super) fn is_frozen(&self, which: usize) -> bool {
        self.frozen.contains(&which)
    }

    pub(super) fn freeze(&mut self, which: usize) {
        self.frozen.insert(which);
    }

    /// Returns what happens now, as the scheduler runs again.
    pub(super) fn thaw(&mut self, which: usize) -> Vec<Event> {
        self.frozen.remove(&which);
        let waiting = self.waiting.extract_if(.., |(of, _)| *of == which);
        waiting.map(|(_, event)| event).collect()
    }

    /// The program of a scheduler ends: nothing waits for it any more.
    pub(super) fn ends(&mut self, which: usize) {
        drop(self.thaw(which));
    }
}

impl Event {
    /// Returns the scheduler whose program it happens to.
    pub(super) fn scheduler(&self, network: &Network) -> Option<usize> {
        match self {
            Self::Deliver { connection, to, .. } if *to == Side::Scheduler => {
                network.listener(*connection)
            }
            Self::Ended {
                connection,
                seen_by,
                ..
            } if *seen_by == Side::Scheduler => network.listener(*connection),
            Self::Commit { scheduler, .. }
            | Self::Deadline { scheduler, .. }
            | Self::Written { scheduler, .. }
            | Self::Answer { scheduler, .. }
            | Self::Lease { scheduler, .. }
            | Self::Wake { scheduler }
            | Self::Restore { scheduler, .. }
            | Self::Upload { scheduler, .. }
            | Self::Heard { scheduler, .. } => Some(*scheduler),
            _ => None,
        }
    }
}

impl World {
    /// Something happens, or waits until a scheduler is thawed.
    pub(super) fn happen_or_wait(&mut self, event: Event) {
        match event.scheduler(&self.network) {
            Some(which) if self.watch.is_frozen(which) => self.watch.waiting.push((which, event)),
            _ => self.happen(event),
        }
    }

    /// What only happens where there are several schedulers.
    pub(super) fn happen_to_leaders(&mut self, event: Event) {
        match event {
            Event::Write {
                scheduler,
                life,
                batch,
            } => {
                let answer = {
                    let oracle = (&mut self.oracle, self.fault);
                    self.database.write(oracle, self.now, scheduler, &batch)
                };
                let (delay, answer) = match self.random.once_in(20) {
                    true => (2_000, WriteAnswer::Unknown),
                    false => (self.random.pick(&[1, 2, 20]), answer),
                };
                let written = Event::Written {
                    scheduler,
                    life,
                    answer,
                };
                self.events
                    .at(self.now + Duration::from_millis(delay), written);
            }
            Event::Written {
                scheduler,
                life,
                answer,
            } if self.processes.schedulers[scheduler].life == life => {
                let answer = match self.database.reaches(scheduler) {
                    true => answer,
                    false => WriteAnswer::Unknown,
                };
                self.with(|processes, context| {
                    processes.schedulers[scheduler].written(context, answer);
                });
            }
            Event::Upload {
                scheduler,
                starts,
                attempt,
            } if self.starts(scheduler) == Some(starts) => self.with(|processes, context| {
                processes.schedulers[scheduler].upload(context, attempt);
            }),
            Event::Heard { scheduler, life }
                if self.processes.schedulers[scheduler].life == life =>
            {
                self.with(|processes, context| {
                    processes.schedulers[scheduler].peer_heard(context);
                });
            }
            Event::Doubt { connection } => self.doubt(connection),
            Event::Trouble(trouble) => self.trouble(trouble),
            other => self.happen_to_lease(other),
        }
    }

    /// What happens to the lease.
    fn happen_to_lease(&mut self, event: Event) {
        match event {
            Event::Answer {
                scheduler,
                starts,
                ask,
                answer,
            } if self.starts(scheduler) == Some(starts) => self.with(|processes, context| {
                processes.schedulers[scheduler].answered(context, ask, answer);
            }),
            Event::Lease { scheduler, starts } if self.starts(scheduler) == Some(starts) => self
                .with(|processes, context| {
                    processes.schedulers[scheduler].lease_is_due(context);
                }),
            Event::Wake { scheduler } if self.starts(scheduler).is_some() => {
                self.with(|processes, context| processes.schedulers[scheduler].wake(context));
            }
            Event::Restore {
                scheduler,
                starts,
                fence,
            } if self.starts(scheduler) == Some(starts) => self.with(|processes, context| {
                processes.schedulers[scheduler].restore(context, fence);
            }),
            // Of an earlier life.
            _ => {}
        }
    }

    /// Returns how often the program of a scheduler was started; `None` if it does not run.
    fn starts(&self, which: usize) -> Option<u32> {
        let scheduler = self.processes.schedulers.get(which)?;
        scheduler.is_up().then_some(scheduler.starts)
    }

    /// Whether peers get answers from this scheduler.
    fn answers(&self, which: usize) -> bool {
        self.processes.schedulers[which].listens()
            && !self.watch.is_frozen(which)
            && !self.network.unreachable.contains(&which)
    }

    /// Returns the scheduler that a worker or client finds, or when to try all addresses again.
    pub(super) fn find(&mut self, from: Party) -> Result<usize, Duration> {
        let all = self.processes.schedulers.len();
        let first = self.watch.found.get(&from).copied().unwrap_or_default();
        for which in (first..first + all).map(|which| which % all) {
            if self.answers(which) {
                self.watch.found.insert(from, which);
                return Ok(which);
            }
            // Its kernel accepts, and nothing comes.
            let accepts = self.processes.schedulers[which].listens();
            if accepts && self.watch.is_frozen(which) {
                self.watch.found.insert(from, which + 1);
                return Err(Duration::from_secs(3));
            }
        }
        Err(Duration::from_millis(self.random.pick(&[200, 1_000])))
    }

    /// A peer has heard nothing for a while: if another scheduler leads, or this one over another connection, it goes
    /// there.
    fn doubt(&mut self, connection: ConnectionId) {
        let (Some(dialler), Some(listener)) = (
            self.network.dialler(connection),
            self.network.listener(connection),
        ) else {
            return;
        };
        let is_cut = self.network.is_cut(connection);
        let is_silent = is_cut || self.watch.is_frozen(listener);
        if !is_silent || !self.network.is_open(connection, Side::Dialler) {
            return;
        }
        let mut others = 0..self.processes.schedulers.len();
        if !others.any(|which| (which != listener || is_cut) && self.answers(which)) {
            let again = self.now + Duration::from_secs(1);
            self.events.at(again, Event::Doubt { connection });
            return;
        }
        self.oracle.count("doubt");
        let (network, events) = (&mut self.network, &mut self.events);
        let side = (connection, Side::Dialler);
        network.close(events, &mut self.random, self.now, side, false);
        self.with(|processes, context| match dialler {
            Party::Worker(worker) => processes.workers[worker].disconnected(context, connection),
            Party::Client(client) => processes.clients[client].disconnected(context, connection),
            Party::Scheduler(_) => {}
        });
    }

    /// Returns the promise that is broken if a scheduler could lead, and none does for too long.
    pub(super) fn leaders(&mut self) -> Option<String> {
        if self.setup == Setup::Alone {
            return None;
        }
        let now = self.now;
        let latest = self.database.latest();
        let lost = self.oracle.last_lost_answer;
        let mut leads = false;
        let mut longest = Duration::ZERO;
        for which in 0..self.processes.schedulers.len() {
            let scheduler = &self.processes.schedulers[which];
            let is_fit = scheduler.is_up()
                && !self.watch.is_frozen(which)
                && !self.network.unreachable.contains(&which)
                && self.database.reaches(which)
                && !self.database.is_full;
            let has_lease = scheduler.fence().is_some_and(|f| f.number() == latest);
            leads |= self.answers(which) && has_lease;
            let fit = &mut self.watch.fit[which];
            *fit = is_fit.then(|| fit.unwrap_or(now).max(lost.unwrap_or_default()));
            longest = longest.max(fit.map_or(Duration::ZERO, |since| now.since(since)));
        }
        if leads {
            self.watch.leaderless = None;
            return None;
        }
        let since = *self.watch.leaderless.get_or_insert(now);
        let since = since.max(self.watch.latest_accident);
        let leaderless = now.since(since).min(longest);
        (leaderless > FAILOVER).then(|| {
            let seconds = leaderless.as_secs_f64();
            format!("another leads within ten seconds: none has for {seconds:.1} s")
        })
    }

    /// Whether all logs that are whole are where every scheduler finds them, and all schedulers run.
    pub(super) fn all_is_shared(&self) -> bool {
        self.setup == Setup::Alone
            || (0..)
                .zip(&self.processes.schedulers)
                .all(|(which, scheduler)| {
                    scheduler.is_up()
                        && !self.watch.is_frozen(which)
                        && scheduler.logs.whole().all(|log| self.store.has(log))
                })
    }
}
