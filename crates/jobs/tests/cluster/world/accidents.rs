//! What happens to a cluster with standbys: to its schedulers, their database, and the store of logs.

use std::time::Duration;

use super::World;
use crate::cluster::events::{Event, Party, Trouble};

impl World {
    /// Plans what only happens to a cluster with standbys.
    pub(super) fn plan_accidents(&mut self) {
        for which in 0..self.processes.schedulers.len() {
            let party = Party::Scheduler(which);
            if which > 0 {
                self.events.at(self.now, Event::Start { party });
                self.plan_kill(party);
            }
            self.sometimes(2, &[2, 4, 7, 20, 60], |length| {
                Trouble::Freeze(which, length)
            });
            self.sometimes(2, &[1, 3, 8, 30, 60], |length| {
                Trouble::CutFromDatabase(which, length)
            });
            self.sometimes(3, &[1, 3, 8, 30, 60], |length| {
                Trouble::CutFromPeers(which, length)
            });
            if self.random.once_in(3) {
                let (time, actions) = (self.some_time(), 1 + self.random.below(40) as u32);
                let fuse = Event::Fuse {
                    scheduler: which,
                    actions,
                };
                self.events.at(time, fuse);
            }
        }
        self.sometimes(2, &[1, 3, 20, 60], Trouble::DatabaseStops);
        self.sometimes(2, &[1, 3, 20, 60], Trouble::DatabaseStops);
        self.sometimes(3, &[5, 60], Trouble::DatabaseIsFull);
        self.sometimes(3, &[10, 200], Trouble::StoreStops);
        for _ in 0..self.random.below(3) {
            self.sometimes(1, &[0], |_| Trouble::StepDown);
        }
        for _ in 0..self.random.below(4) {
            let jump = self.random.pick(&[-3_600, -30, -4, 4, 30, 3_600]);
            self.sometimes(1, &[0], |_| Trouble::ClockJumps(jump));
        }
    }

    /// Plans an accident, one time in so many, for one of these lengths in seconds.
    fn sometimes(&mut self, times: usize, lengths: &[u64], trouble: impl Fn(Duration) -> Trouble) {
        if self.random.once_in(times) {
            let (time, length) = (self.some_time(), self.random.pick(lengths));
            let trouble = trouble(Duration::from_secs(length));
            self.events.at(time, Event::Trouble(trouble));
        }
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        let now = self.now;
        let ends = match trouble {
            Trouble::Freeze(which, length) if self.life(Party::Scheduler(which)).0 => {
                self.oracle.count("frozen");
                self.watch.freeze(which);
                self.peers_doubt(which);
                Some((length, Trouble::Thaw(which)))
            }
            // It does not run.
            Trouble::Freeze(..) => None,
            Trouble::Thaw(which) => {
                for event in self.watch.thaw(which) {
                    self.happen(event);
                }
                None
            }
            Trouble::CutFromDatabase(which, length) => {
                self.database.cut_off.insert(which);
                Some((length, Trouble::ReachesDatabase(which)))
            }
            Trouble::ReachesDatabase(which) => {
                self.database.cut_off.remove(&which);
                None
            }
            Trouble::CutFromPeers(which, length) => {
                self.network.unreachable.insert(which);
                let party = Party::Scheduler(which);
                let (network, events) = (&mut self.network, &mut self.events);
                network.cut(events, &mut self.random, now, party);
                self.peers_doubt(which);
                Some((length, Trouble::ReachesPeers(which)))
            }
            Trouble::ReachesPeers(which) => {
                self.network.unreachable.remove(&which);
                None
            }
            Trouble::StepDown => {
                for which in 0..self.processes.schedulers.len() {
                    if !self.watch.is_frozen(which) {
                        self.with(|processes, context| {
                            processes.schedulers[which].step_down(context);
                        });
                    }
                }
                None
            }
            other => self.trouble_with_database(other),
        };
        self.watch.latest_accident = now;
        if let Some((length, end)) = ends {
            self.events.at(now + length, Event::Trouble(end));
        }
    }

    /// Returns how long it lasts, and what ends it.
    fn trouble_with_database(&mut self, trouble: Trouble) -> Option<(Duration, Trouble)> {
        match trouble {
            Trouble::DatabaseStops(length) => {
                self.database.is_down = true;
                Some((length, Trouble::DatabaseStarts))
            }
            Trouble::DatabaseStarts => {
                self.database.is_down = false;
                None
            }
            Trouble::DatabaseIsFull(length) => {
                self.database.is_full = true;
                Some((length, Trouble::DatabaseHasSpace))
            }
            Trouble::DatabaseHasSpace => {
                self.database.is_full = false;
                None
            }
            Trouble::ClockJumps(seconds) => {
                self.database.ahead += seconds;
                None
            }
            Trouble::StoreStops(length) => {
                self.store.is_down = true;
                Some((length, Trouble::StoreStarts))
            }
            Trouble::StoreStarts => {
                self.store.is_down = false;
                None
            }
            _ => None,
        }
    }

    /// The peers of a scheduler from which nothing arrives any more begin to doubt that it leads. Upstream's workers
    /// wait.
    fn peers_doubt(&mut self, which: usize) {
        for (connection, _) in self.network.of(Party::Scheduler(which)) {
            let doubts = match self.network.dialler(connection) {
                Some(Party::Worker(worker)) => self.processes.workers[worker].survives,
                Some(Party::Client(_)) => true,
                Some(Party::Scheduler(_)) | None => false,
            };
            if doubts {
                let silence = Duration::from_secs(self.random.pick(&[3, 4, 6]));
                self.events
                    .at(self.now + silence, Event::Doubt { connection });
            }
        }
    }
}
