//! A scheduler: its disk, and while it leads its jobs, its pool and its connections.

mod connections;
mod effects;
mod following;
mod leading;
mod saving;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jobs::{AttemptId, Change, ChangeId, Config, JobId, Jobs, RequestId, Saved, Stage};
use leadership::Fence;
use pool::{Pool, PopId, TicketId, Time, WorkerId, WorkerName};

use self::following::Following;
use self::leading::Candidate;
use self::saving::Sent;
use crate::cluster::events::{Crash, Event};
use crate::cluster::fault::ClusterFault;
use crate::cluster::logs::Logs;
use crate::cluster::message::FromClient;
use crate::cluster::network::ConnectionId;
use crate::cluster::oracle::GRACE;
use crate::cluster::process::Context;

/// The only pool.
const POOL: &str = "pool";

#[derive(Debug)]
pub(crate) struct Scheduler {
    which: usize,
    /// Counts how often it began to lead, and its ends.
    pub(crate) life: u32,
    /// On its own disk.
    pub(crate) logs: Logs,
    last_id: u64,
    /// Counts the starts of its program.
    pub(crate) starts: u32,
    /// What it is among several, while its program runs.
    candidate: Option<Candidate>,
    process: Option<Process>,
}

/// What a scheduler that leads has in memory.
#[derive(Debug)]
struct Process {
    jobs: Jobs,
    pool: Pool,
    tickets: BTreeMap<TicketId, JobId>,
    ticket_of: BTreeMap<JobId, TicketId>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The connection over which each worker is registered.
    registered: BTreeMap<WorkerName, ConnectionId>,
    pops: BTreeMap<PopId, ConnectionId>,
    /// Workers that are to get an attempt once that is on disk.
    held: BTreeMap<AttemptId, (ConnectionId, TicketId)>,
    following: BTreeMap<AttemptId, Following>,
    last_request: u64,
    requests: BTreeMap<RequestId, Request>,
    /// What watchers see.
    shown: BTreeMap<JobId, (u64, Stage)>,
    /// Who waits for a later version.
    watchers: Vec<Watcher>,
    /// Who waits for more of a log.
    readers: Vec<Reader>,
    /// Changes on their way to the disk.
    unsaved: VecDeque<(ChangeId, Change)>,
    commits: bool,
    /// What each write to a shared database carries; `None` for a scheduler that is alone.
    fence: Option<Fence>,
    last_batch: u64,
    /// The changes that were sent to a shared database, until it answers.
    sent: Option<Sent>,
    /// The latest write was refused, as there is no space.
    backs_off: bool,
    /// It accepts nothing more.
    drains: bool,
    /// What clients asked while the database could not be read.
    parked: Vec<(ConnectionId, FromClient)>,
    /// Attempts that have ended, and whose logs are not in the shared store yet.
    unshared: BTreeMap<AttemptId, (ConnectionId, WorkerName)>,
    deadline: Option<Time>,
    refuses: bool,
    /// It is killed after so many more actions.
    fuse: Option<u32>,
}

/// Who waits for the disk.
#[derive(Debug)]
enum Request {
    Submit {
        connection: ConnectionId,
        wish: usize,
    },
    Cancel {
        connection: ConnectionId,
    },
    Return {
        connection: ConnectionId,
        held: Vec<AttemptId>,
    },
}

#[derive(Debug, Default)]
struct Connection {
    worker: Option<(WorkerName, WorkerId, bool)>,
    /// The jobs that a client watches over it.
    watches: Vec<JobId>,
}

#[derive(Debug)]
struct Watcher {
    connection: ConnectionId,
    wish: usize,
    job: JobId,
    version: u64,
}

#[derive(Debug)]
struct Reader {
    connection: ConnectionId,
    wish: usize,
    attempt: AttemptId,
    start: usize,
}

impl Scheduler {
    pub(crate) fn new(which: usize) -> Self {
        Self {
            which,
            life: 0,
            logs: Logs::default(),
            // No two schedulers choose the same id.
            last_id: (which as u64) << 32,
            starts: 0,
            candidate: None,
            process: None,
        }
    }

    /// Whether its program runs.
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some() || self.candidate.is_some()
    }

    /// Whether it accepts connections.
    pub(crate) fn listens(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.drains)
    }

    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        if context.has_standbys() {
            self.stand_by(context);
        } else {
            let saved = context.database.disk.unfinished();
            self.begin(context, saved, None);
        }
    }

    /// Goes on with what is on disk.
    fn begin(&mut self, context: &mut Context<'_>, saved: Vec<Saved>, fence: Option<Fence>) {
        self.life += 1;
        let config = Config {
            return_timeout: GRACE,
            ..Config::default()
        };
        let jobs = Jobs::restore(config, context.now, saved);
        self.process = Some(Process {
            jobs,
            pool: Pool::default(),
            tickets: BTreeMap::new(),
            ticket_of: BTreeMap::new(),
            connections: BTreeMap::new(),
            registered: BTreeMap::new(),
            pops: BTreeMap::new(),
            held: BTreeMap::new(),
            following: BTreeMap::new(),
            last_request: 0,
            requests: BTreeMap::new(),
            shown: BTreeMap::new(),
            watchers: Vec::new(),
            readers: Vec::new(),
            unsaved: VecDeque::new(),
            commits: false,
            fence,
            last_batch: 0,
            sent: None,
            backs_off: false,
            drains: false,
            parked: Vec::new(),
            unshared: BTreeMap::new(),
            deadline: None,
            refuses: false,
            fuse: None,
        });
        context.oracle.count("start of the scheduler");
        self.perform(context);
    }

    /// Ends as if it were killed. Some of what is not saved may reach the disk nevertheless.
    pub(crate) fn crash(&mut self, context: &mut Context<'_>, crash: Crash) {
        self.candidate = None;
        self.life += 1;
        let process = self.process.take();
        if process.is_some() {
            context.oracle.misses_all(context.now);
        }
        // What was sent to a shared database is on its way, whatever becomes of the sender.
        if let Some(process) = process
            && !context.has_standbys()
        {
            let reaches = context.random.below(process.unsaved.len() + 1);
            for (_, change) in process.unsaved.into_iter().take(reaches) {
                Self::save(context, &change);
            }
        }
        match crash {
            Crash::Process => {}
            Crash::Machine => self.logs.lose_power(context.random),
            Crash::Disk => self.logs = Logs::default(),
        }
    }

    pub(crate) fn set_fuse(&mut self, actions: u32) {
        if let Some(process) = &mut self.process {
            process.fuse = Some(actions);
        }
    }

    pub(crate) fn refuse_next_write(&mut self) {
        if let Some(process) = &mut self.process {
            process.refuses = true;
        }
    }

    /// Its disk answers: some of what was to be saved is.
    pub(crate) fn committed(&mut self, context: &mut Context<'_>) {
        if context.has_standbys() {
            self.send_batch(context);
            return;
        }
        let Some(process) = &mut self.process else {
            return;
        };
        process.commits = false;
        if std::mem::take(&mut process.refuses) {
            if let Some((last, _)) = process.unsaved.back() {
                context.oracle.count("refused write");
                process.jobs.not_committed(*last);
            }
            self.perform(context);
            return;
        }
        let group = context
            .random
            .pick(&[1, 3, usize::MAX])
            .min(process.unsaved.len());
        let group: Vec<_> = process.unsaved.drain(..group).collect();
        for (_, change) in &group {
            Self::save(context, change);
        }
        let last = group.last().map(|(number, _)| *number);
        if let (Some(process), Some(last)) = (&mut self.process, last) {
            process.jobs.committed(last);
        }
        self.perform(context);
    }

    fn save(context: &mut Context<'_>, change: &Change) {
        context.oracle.saves(change, context.now);
        if let Err(problem) = context.database.disk.save(change) {
            context.oracle.broken(problem);
        }
    }

    pub(crate) fn deadline(&mut self, context: &mut Context<'_>) {
        if let Some(process) = &mut self.process {
            process.deadline = None;
            process.jobs.advance(context.now);
            process.pool.advance(context.now);
            self.perform(context);
        }
    }

    /// # Errors
    ///
    /// What is inconsistent.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.process {
            Some(process) => process.jobs.check().and_then(|()| process.pool.check()),
            None => Ok(()),
        }
    }

    /// Plans the next write, and the next look at the clock.
    fn plan(&mut self, context: &mut Context<'_>) {
        let (scheduler, life) = (self.which, self.life);
        let Some(process) = &mut self.process else {
            return;
        };
        if !process.unsaved.is_empty() && !process.commits && !process.drains {
            process.commits = true;
            let delay = match std::mem::take(&mut process.backs_off) {
                true => 1_000,
                false => context.random.pick(&[1, 5, 20, 2_000]),
            };
            let commit = Event::Commit { scheduler, life };
            context.after(Duration::from_millis(delay), commit);
        }
        let next = [process.jobs.next_deadline(), process.pool.next_deadline()];
        let next = next.into_iter().flatten().min();
        if next.is_some() && process.deadline.is_none_or(|planned| Some(planned) > next) {
            process.deadline = next;
            let next = next.unwrap_or_default().max(context.now);
            let deadline = Event::Deadline { scheduler, life };
            context.events.at(next, deadline);
        }
        if context.planted(ClusterFault::ReportsUnsynced)
            && let Some((last, _)) = process.unsaved.back()
        {
            let last = *last;
            process.jobs.committed(last);
        }
    }
}
