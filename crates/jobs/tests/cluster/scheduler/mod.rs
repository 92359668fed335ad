//! A scheduler: its disk, and while it is up its jobs, its pool and its connections.

mod connections;
mod effects;
mod following;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jobs::{AttemptId, Change, ChangeId, Config, JobId, Jobs, RequestId, Stage};
use pool::{Pool, PopId, TicketId, Time, WorkerId, WorkerName};

use self::following::Following;
use crate::cluster::events::{Crash, Event};
use crate::cluster::fault::ClusterFault;
use crate::cluster::logs::Logs;
use crate::cluster::network::ConnectionId;
use crate::cluster::oracle::GRACE;
use crate::cluster::process::Context;
use crate::simulate::disk::Disk;

/// The only pool.
const POOL: &str = "pool";

#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    pub(crate) life: u32,
    pub(crate) disk: Disk,
    pub(crate) logs: Logs,
    last_id: u64,
    process: Option<Process>,
}

/// What a scheduler has in memory.
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
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Starts, and goes on with what is on disk.
    pub(crate) fn start(&mut self, context: &mut Context<'_>) {
        self.life += 1;
        let config = Config {
            return_timeout: GRACE,
            ..Config::default()
        };
        let jobs = Jobs::restore(config, context.now, self.disk.unfinished());
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
            deadline: None,
            refuses: false,
            fuse: None,
        });
        context.oracle.count("start of the scheduler");
        self.perform(context);
    }

    /// Ends as if it were killed. Some of what is not saved may reach the disk nevertheless.
    pub(crate) fn crash(&mut self, context: &mut Context<'_>, crash: Crash) {
        let Some(process) = self.process.take() else {
            return;
        };
        for worker in 0..3 {
            context.oracle.misses_worker(worker, context.now);
        }
        let reaches = context.random.below(process.unsaved.len() + 1);
        for (_, change) in process.unsaved.into_iter().take(reaches) {
            self.save(context, &change);
        }
        if crash == Crash::Machine {
            self.logs.lose_power(context.random);
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
            self.save(context, change);
        }
        let last = group.last().map(|(number, _)| *number);
        if let (Some(process), Some(last)) = (&mut self.process, last) {
            process.jobs.committed(last);
        }
        self.perform(context);
    }

    fn save(&mut self, context: &mut Context<'_>, change: &Change) {
        context.oracle.saves(change, context.now);
        if let Err(problem) = self.disk.save(change) {
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
        let life = self.life;
        let Some(process) = &mut self.process else {
            return;
        };
        if !process.unsaved.is_empty() && !process.commits {
            process.commits = true;
            let delay = context.random.pick(&[1, 5, 20, 2_000]);
            context.after(Duration::from_millis(delay), Event::Commit { life });
        }
        let next = [process.jobs.next_deadline(), process.pool.next_deadline()];
        let next = next.into_iter().flatten().min();
        if next.is_some() && process.deadline.is_none_or(|planned| Some(planned) > next) {
            process.deadline = next;
            let next = next.unwrap_or_default().max(context.now);
            context.events.at(next, Event::Deadline { life });
        }
        if context.planted(ClusterFault::ReportsUnsynced)
            && let Some((last, _)) = process.unsaved.back()
        {
            let last = *last;
            process.jobs.committed(last);
        }
    }
}
