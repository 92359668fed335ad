//! Virtual time: what happens next.

use std::collections::BTreeMap;
use std::time::Duration;

use jobs::AttemptId;
use pool::Time;

use super::message::Message;
use super::network::{ConnectionId, Side};

/// A process of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Scheduler,
    Worker(usize),
    Client(usize),
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// It is killed: its kernel closes the connections, and writes what it has.
    Process,
    /// Its machine loses power: nobody is told, and what was not synced may be lost.
    Machine,
}

/// Something that happens at a time. `life` counts the starts of a process: what an earlier life planned is void.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Deliver {
        connection: ConnectionId,
        to: Side,
        message: Message,
    },
    /// One side of a connection learns that it has ended.
    Ended {
        connection: ConnectionId,
        seen_by: Side,
        silently: bool,
    },
    /// A worker or a client connects.
    Dial {
        from: Party,
        life: u32,
    },
    /// The disk of the scheduler answers.
    Commit {
        life: u32,
    },
    /// The scheduler's next limit may be reached.
    Deadline {
        life: u32,
    },
    /// A build writes to its log, or ends.
    Build {
        worker: usize,
        life: u32,
        attempt: AttemptId,
    },
    /// A worker may have been disconnected for the grace period.
    Grace {
        worker: usize,
        life: u32,
    },
    /// A user wants something of a client.
    Wish {
        client: usize,
        wish: Wish,
    },
    Kill {
        party: Party,
        crash: Crash,
        down: Duration,
    },
    Start {
        party: Party,
    },
    /// The scheduler is killed after so many more of its actions.
    Fuse {
        actions: u32,
    },
    /// The connection of this process falls silent.
    Cut {
        party: Party,
    },
    /// The disk of the scheduler refuses the next write.
    FullDisk,
}

/// What a user wants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Submit { terms: usize },
    CancelLatest,
}

/// The events to come.
#[derive(Debug, Default)]
pub(crate) struct Events {
    next: u64,
    queue: BTreeMap<(Time, u64), Event>,
}

impl Events {
    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.next += 1;
        self.queue.insert((time, self.next), event);
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Event)> {
        let ((time, _), event) = self.queue.pop_first()?;
        Some((time, event))
    }
}
