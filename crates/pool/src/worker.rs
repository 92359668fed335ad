//! Workers: the known ones, and what each connected one is doing.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::backlog::InOrder;
use crate::ids::Slot;
use crate::ready::Since;
use crate::{InactiveReason, InactiveReasons, PopId, TicketId, Time, WorkerId, WorkerName};

/// A known worker: one that has registered once and has not been forgotten.
#[derive(Clone, Debug)]
pub(crate) struct KnownWorker {
    pub(crate) name: WorkerName,
    /// Whether an admin has paused it. Outlives its connections.
    pub(crate) paused: bool,
    /// What it is doing; `None` while it is disconnected.
    pub(crate) connected: Option<Worker>,
}

/// A connected worker.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    registration: u64,
    pub(crate) capacity: u32,
    pub(crate) reasons: InactiveReasons,
    /// Tickets assigned to it that it has not taken. Empty while it is inactive.
    pub(crate) queue: InOrder,
    /// The sum of the costs of its queue.
    pub(crate) workload: Duration,
    /// Tickets it has taken and not finished, and how long each is expected to run.
    pub(crate) running: BTreeMap<TicketId, ExpectedRun>,
    /// Its outstanding requests for a job. Inactive workers may have some too.
    pub(crate) pops: BTreeSet<PopId>,
    /// Its place in the ready list, if it is there.
    pub(crate) ready_since: Option<Since>,
    /// Whether it is due to be served at the next `poll_effect`.
    pub(crate) scheduled: bool,
    /// The number of its last assignment; 0 if it has had none.
    pub(crate) last_assigned: u64,
    /// When something last arrived from it, as far as was reported.
    pub(crate) last_heard: Time,
    /// Whether it is being probed, and takes nothing until it answers.
    pub(crate) awaiting_reply: bool,
}

/// When a running job began, as far as is known, and when it is expected to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedRun {
    pub(crate) since: Time,
    pub(crate) end: Time,
}

impl ExpectedRun {
    /// Returns how much longer it is expected to run. The longer it is late, the longer.
    fn left(self, now: Time) -> Duration {
        self.end.since(now).max(now.since(self.since) / 8)
    }
}

impl Worker {
    /// Returns how long a ticket that is assigned to it now is expected to wait for it.
    pub(crate) fn wait(&self, now: Time) -> Duration {
        let slots = self.capacity.max(1);
        let running = || self.running.values().map(|run| run.left(now));
        let free = match self.pops.is_empty() {
            true => running().min().unwrap_or_default(),
            false => Duration::ZERO,
        };
        free.saturating_add(self.workload / slots)
    }

    fn new(registration: u64, capacity: u32, paused: bool, now: Time) -> Self {
        let reasons = InactiveReasons::NONE.with(InactiveReason::WorkerPause);
        Self {
            registration,
            capacity,
            reasons: if paused {
                reasons.with(InactiveReason::AdminPause)
            } else {
                reasons
            },
            queue: InOrder::default(),
            workload: Duration::ZERO,
            running: BTreeMap::new(),
            pops: BTreeSet::new(),
            ready_since: None,
            scheduled: false,
            last_assigned: 0,
            last_heard: now,
            awaiting_reply: false,
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Returns whether it has asked for more jobs than it has queued.
    pub(crate) fn wants_more(&self) -> bool {
        self.pops.len() > self.queue.len()
    }
}

/// Which of several workers is to be preferred: the smallest.
///
/// The least loaded; of those the one with the fewest jobs running, then the one that was least
/// recently assigned a ticket, then (as upstream, which compares only the workload) the later
/// name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Load {
    pub(crate) workload: Duration,
    running: usize,
    last_assigned: u64,
    name: Reverse<WorkerName>,
    pub(crate) worker: Slot,
}

/// All known workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers {
    /// By slot; `None` where one was forgotten.
    known: Vec<Option<KnownWorker>>,
    /// Slots to use again.
    free: Vec<Slot>,
    by_name: BTreeMap<WorkerName, Slot>,
    /// The active ones, the one to be preferred first.
    by_load: BTreeSet<Load>,
    registrations: u64,
}

impl Workers {
    /// Adds a worker that is not known yet.
    pub(crate) fn add(&mut self, name: WorkerName, paused: bool) -> Slot {
        let known = KnownWorker {
            name: name.clone(),
            paused,
            connected: None,
        };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let next =
                    u32::try_from(self.known.len()).expect("names of 2^32 workers fit nowhere");
                self.known.push(None);
                Slot(next)
            }
        };
        self.known[slot.0 as usize] = Some(known);
        self.by_name.insert(name, slot);
        slot
    }

    /// Drops a worker, who must not be connected.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Some(known) = self.known.get_mut(slot.0 as usize).and_then(Option::take) {
            self.by_name.remove(&known.name);
            self.free.push(slot);
        }
    }

    /// Connects a worker that was disconnected.
    pub(crate) fn connect(&mut self, slot: Slot, capacity: u32, now: Time) -> WorkerId {
        self.registrations += 1;
        let registration = self.registrations;
        if let Some(known) = self.known_mut(slot) {
            known.connected = Some(Worker::new(registration, capacity, known.paused, now));
        }
        WorkerId { registration, slot }
    }

    /// Disconnects a worker, and returns what it was doing.
    pub(crate) fn disconnect(&mut self, slot: Slot) -> Option<Worker> {
        let load = self.load(slot);
        if let Some(load) = load {
            self.by_load.remove(&load);
        }
        self.known_mut(slot)?.connected.take()
    }

    /// Returns where a registration's worker is kept, unless the registration has ended.
    pub(crate) fn resolve(&self, id: WorkerId) -> Option<Slot> {
        let worker = self.get(id.slot)?;
        (worker.registration == id.registration).then_some(id.slot)
    }

    pub(crate) fn id(&self, slot: Slot) -> Option<WorkerId> {
        self.get(slot).map(|worker| WorkerId {
            registration: worker.registration,
            slot,
        })
    }

    /// Returns how many are known.
    pub(crate) fn count(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn find(&self, name: &WorkerName) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn known(&self, slot: Slot) -> Option<&KnownWorker> {
        self.known.get(slot.0 as usize)?.as_ref()
    }

    pub(crate) fn known_mut(&mut self, slot: Slot) -> Option<&mut KnownWorker> {
        self.known.get_mut(slot.0 as usize)?.as_mut()
    }

    /// Returns the name of a known worker.
    pub(crate) fn name(&self, slot: Slot) -> WorkerName {
        self.known(slot)
            .expect("slots are dropped before their worker is forgotten")
            .name
            .clone()
    }

    /// Returns a connected worker.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Worker> {
        self.known(slot)?.connected.as_ref()
    }

    /// Changes a connected worker, and moves it in the order of loads accordingly.
    pub(crate) fn update<R>(
        &mut self,
        slot: Slot,
        change: impl FnOnce(&mut Worker) -> R,
    ) -> Option<R> {
        let before = self.load(slot);
        let result = change(self.known_mut(slot)?.connected.as_mut()?);
        let after = self.load(slot);
        if before != after {
            if let Some(load) = before {
                self.by_load.remove(&load);
            }
            if let Some(load) = after {
                self.by_load.insert(load);
            }
        }
        Some(result)
    }

    /// Returns the load of a worker, if it is connected and active.
    pub(crate) fn load(&self, slot: Slot) -> Option<Load> {
        let known = self.known(slot)?;
        let worker = known.connected.as_ref()?;
        worker.is_active().then(|| Load {
            workload: worker.workload,
            running: worker.running.len(),
            last_assigned: worker.last_assigned,
            name: Reverse(known.name.clone()),
            worker: slot,
        })
    }

    /// Walks the active workers, the one to be preferred first.
    pub(crate) fn by_load(&self) -> impl ExactSizeIterator<Item = &Load> {
        self.by_load.iter()
    }

    /// Walks the known workers in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &KnownWorker)> {
        self.by_name
            .values()
            .filter_map(|slot| self.known(*slot).map(|known| (*slot, known)))
    }

    /// Walks the connected workers in the order of their names.
    pub(crate) fn connected(&self) -> impl Iterator<Item = (Slot, &WorkerName, &Worker)> {
        self.iter().filter_map(|(slot, known)| {
            known
                .connected
                .as_ref()
                .map(|worker| (slot, &known.name, worker))
        })
    }
}
