//! Virtual time: what happens next.

use std::collections::BTreeMap;
use std::time::Duration;

use jobs::AttemptId;
use leadership::{AskId, Fence};
use pool::Time;

use super::database::{Answer, Batch, WriteAnswer};
use super::message::Message;
use super::network::{ConnectionId, Side};

/// A process of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    Scheduler(usize),
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
    /// Its machine burns, and another one takes its place: what was on its disk is gone.
    Disk,
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
    /// The disk of the scheduler answers; with standbys, it writes to the database.
    Commit {
        scheduler: usize,
        life: u32,
    },
    /// The scheduler's next limit may be reached.
    Deadline {
        scheduler: usize,
        life: u32,
    },
    /// A write arrives at the database.
    Write {
        scheduler: usize,
        life: u32,
        batch: Batch,
    },
    /// A scheduler learns what became of its write.
    Written {
        scheduler: usize,
        life: u32,
        answer: WriteAnswer,
    },
    /// A scheduler learns about the lease. `starts` counts the starts of its program.
    Answer {
        scheduler: usize,
        starts: u32,
        ask: AskId,
        answer: Answer,
    },
    /// A scheduler may have something to do about the lease.
    Lease {
        scheduler: usize,
        starts: u32,
    },
    /// A standby is told that the lease was given up.
    Wake {
        scheduler: usize,
    },
    /// A leader that could not read what is saved reads it again.
    Restore {
        scheduler: usize,
        starts: u32,
        fence: Fence,
    },
    /// A log that is whole is copied to the store that all share.
    Upload {
        scheduler: usize,
        starts: u32,
        attempt: AttemptId,
    },
    /// A peer has shown a sign of life.
    Heard {
        scheduler: usize,
        life: u32,
    },
    /// A worker or client has heard nothing for a while, and looks for another leader.
    Doubt {
        connection: ConnectionId,
    },
    /// A client submits again what was refused.
    Resubmit {
        client: usize,
        life: u32,
        wish: usize,
    },
    /// An accident, of those that only a cluster with standbys has.
    Trouble(Trouble),
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
        scheduler: usize,
        actions: u32,
    },
    /// The connection of this process falls silent.
    Cut {
        party: Party,
    },
    /// The disk of the scheduler refuses the next write.
    FullDisk,
}

/// What may happen to several schedulers, to their database, and to what they share.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// The program does not run for a while, and does not know it.
    Freeze(usize, Duration),
    Thaw(usize),
    /// The scheduler does not reach the database, nor the database the scheduler.
    CutFromDatabase(usize, Duration),
    ReachesDatabase(usize),
    /// No worker and no client reaches the scheduler, nor the scheduler them.
    CutFromPeers(usize, Duration),
    ReachesPeers(usize),
    /// The database is restarted: what is on its way to it is lost, and so are the answers.
    DatabaseStops(Duration),
    DatabaseStarts,
    /// The disk of the database is full: it can be read.
    DatabaseIsFull(Duration),
    DatabaseHasSpace,
    /// The clock of the database is set, by so many seconds.
    ClockJumps(i64),
    /// The store of logs is away.
    StoreStops(Duration),
    StoreStarts,
    /// An operator asks the leader to step down.
    StepDown,
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
