//! The running jobs, and the capacity that is left for more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::watch;

use crate::cancel::{Cancel, Reason};

/// The jobs of a worker. Clones are the same jobs.
#[derive(Clone)]
pub(crate) struct Running(Rc<Inner>);

#[derive(Default)]
struct Inner {
    load: watch::Sender<Load>,
    jobs: RefCell<BTreeMap<u64, Cancel>>,
    next_id: Cell<u64>,
}

/// The load of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// How many jobs there are.
    pub(crate) jobs: u32,
    /// How many of them wait for capacity, or have not been admitted yet.
    pub(crate) waiting: u32,
    /// The total weight of the others.
    pub(crate) in_use: u32,
}

/// A job's place among the others, until dropped.
#[must_use = "the job counts until this is dropped"]
pub(crate) struct Slot {
    running: Running,
    id: u64,
    weight: u32,
    capacity: u32,
    /// Whether the weight has been added to [`Load::in_use`].
    taken: bool,
}

impl Running {
    /// Returns an empty set of jobs, which publishes its load in `load`.
    pub(crate) fn counted_in(load: watch::Sender<Load>) -> Self {
        Self(Rc::new(Inner {
            load,
            ..Inner::default()
        }))
    }

    /// Counts a new job. Its `weight` is taken from the `capacity` later: see [`Slot::take`].
    pub(crate) fn add(&self, weight: u32, capacity: u32, cancel: Cancel) -> Slot {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        self.0.jobs.borrow_mut().insert(id, cancel);
        self.0.load.send_modify(|load| {
            load.jobs += 1;
            load.waiting += 1;
        });
        Slot {
            running: self.clone(),
            id,
            weight,
            capacity,
            taken: false,
        }
    }

    /// Returns the present load.
    pub(crate) fn load(&self) -> Load {
        *self.0.load.borrow()
    }

    /// Returns the total weight of the running jobs.
    pub(crate) fn in_use(&self) -> u32 {
        self.load().in_use
    }

    /// Waits until there is room for another job, and no earlier job waits for it.
    pub(crate) async fn room(&self, capacity: u32) {
        self.wait_for(|load| load.has_room(capacity)).await;
    }

    /// Waits until there are no jobs.
    pub(crate) async fn idle(&self) {
        self.wait_for(|load| load.jobs == 0).await;
    }

    /// Returns a channel that changes whenever a job starts or ends.
    pub(crate) fn changes(&self) -> watch::Receiver<Load> {
        self.0.load.subscribe()
    }

    async fn wait_for(&self, done: impl FnMut(&Load) -> bool) {
        // `self` holds the sender, so the wait cannot end early.
        drop(self.0.load.subscribe().wait_for(done).await);
    }

    /// Asks all jobs to stop, because the worker is shutting down.
    pub(crate) fn cancel_all(&self) {
        for job in self.0.jobs.borrow().values() {
            job.cancel_because(Reason::Shutdown);
        }
    }
}

impl Load {
    fn has_room(&self, capacity: u32) -> bool {
        self.waiting == 0 && self.in_use < capacity
    }

    /// Returns how much of the capacity is in use, as a suffix to the number of jobs. Empty if both are equal.
    pub(crate) fn shown_use(&self, capacity: u32) -> String {
        if self.in_use == self.jobs {
            String::new()
        } else {
            format!(", {} of {capacity} in use", self.in_use)
        }
    }
}

impl Slot {
    /// Returns why the job must wait, if it must.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let in_use = self.running.in_use();
        (in_use + self.weight > self.capacity).then(|| {
            format!(
                "Waiting for other jobs on this worker: they take {in_use} of its capacity of {}, and this one \
                 takes {}",
                self.capacity, self.weight
            )
        })
    }

    /// Waits until the job fits, and takes its part of the capacity.
    pub(crate) async fn take(&mut self) {
        let Self {
            running,
            weight,
            capacity,
            ..
        } = self;
        running
            .wait_for(|load| load.in_use + *weight <= *capacity)
            .await;
        self.taken = true;
        running.0.load.send_modify(|load| {
            load.waiting -= 1;
            load.in_use += *weight;
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running.0.jobs.borrow_mut().remove(&self.id);
        self.running.0.load.send_modify(|load| {
            load.jobs -= 1;
            if self.taken {
                load.in_use -= self.weight;
            } else {
                load.waiting -= 1;
            }
        });
    }
}
