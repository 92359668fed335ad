//! The workers of a pool: capabilities and connections of the registered ones, and the history of all. The pool has the
//! state that decides which jobs they get.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use cluster_api::{PauseReason, Worker};
use pool::{Time, WorkerId, WorkerName};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use vat::Peer;

/// How many ended registrations of each worker are remembered.
const MAX_REGISTRATIONS: usize = 10;

/// How much of the reason is remembered for which one ended, in bytes. It may come from the worker.
const MAX_REASON_BYTES: usize = 200;

/// The current registrations, and the history of every worker that has registered since the start.
#[derive(Default)]
pub(crate) struct Roster {
    registered: HashMap<WorkerId, RegisteredWorker>,
    history: BTreeMap<WorkerName, WorkerHistory>,
}

/// A worker that is registered.
pub(crate) struct RegisteredWorker {
    pub(crate) name: WorkerName,
    /// Its capability.
    pub(crate) worker: Worker,
    /// The connection that it came through.
    pub(crate) peer: Peer,
    pub(crate) since: Time,
    /// The version of its program; `None` until it has reported one.
    pub(crate) version: Option<String>,
    /// How many jobs it has been assigned.
    assigned: u64,
    /// How many jobs it has ended.
    pub(crate) finished: u64,
    /// Why it pauses itself, as it reported.
    pub(crate) pause_reasons: Vec<PauseReason>,
    pub(crate) liveness: Liveness,
    /// For a worker that keeps its durable jobs while it is disconnected.
    pub(crate) returning: Option<Returning>,
}

/// What is known of a worker that keeps its durable jobs while it is disconnected.
pub(crate) struct Returning {
    /// Identifies its process, if that is known.
    pub(crate) process: Option<u64>,
    /// Dropped when it has left.
    pub(crate) _presence: Box<dyn Any>,
}

/// Whether a worker answers.
#[derive(Default)]
pub(crate) struct Liveness {
    /// Since when an answer has been due and nothing has arrived; `None` if no answer is due.
    pub(crate) silent_since: Option<Time>,
    /// Whether something waits for its answer: a job, or another worker that wants its name.
    pub(crate) is_waited_for: bool,
    /// Whether it counts as not answering.
    pub(crate) is_not_answering: bool,
    /// Has it probed at once.
    pub(crate) probe_requested: Rc<Notify>,
    /// Signals each change.
    pub(crate) state: watch::Sender<LivenessState>,
    /// The task that probes it, which ends with this.
    watch: Option<ProbeTask>,
}

/// Whether a worker answers, as last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LivenessState {
    /// Something has arrived from it.
    #[default]
    Responsive,
    /// Nothing has arrived for too long.
    Unresponsive,
}

/// A task that is ended when this is dropped.
struct ProbeTask(JoinHandle<()>);

impl Drop for ProbeTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A worker that has been connected since the start.
#[derive(Default)]
pub(crate) struct WorkerHistory {
    pub(crate) registrations: u64,
    /// When it last left; `None` if it has not.
    pub(crate) left: Option<Time>,
    /// Its last registrations that have ended, the latest last.
    pub(crate) ended: VecDeque<EndedRegistration>,
}

/// A registration that has ended.
pub(crate) struct EndedRegistration {
    pub(crate) began: Time,
    pub(crate) ended: Time,
    /// Where the worker connected from.
    pub(crate) address: String,
    /// Why it ended, for people.
    pub(crate) reason: String,
}

impl Roster {
    pub(crate) fn insert(
        &mut self,
        now: Time,
        id: WorkerId,
        name: WorkerName,
        worker: Worker,
        peer: Peer,
    ) {
        self.history.entry(name.clone()).or_default().registrations += 1;
        let registered = RegisteredWorker {
            name,
            worker,
            peer,
            since: now,
            version: None,
            assigned: 0,
            finished: 0,
            pause_reasons: Vec::new(),
            liveness: Liveness::default(),
            returning: None,
        };
        self.registered.insert(id, registered);
    }

    /// Takes out a registration that has ended, for this reason or that of its connection. What is returned must be
    /// dropped where it can do no harm.
    #[must_use]
    pub(crate) fn remove(
        &mut self,
        now: Time,
        id: WorkerId,
        reason: Option<&str>,
    ) -> Option<RegisteredWorker> {
        let registered = self.registered.remove(&id)?;
        if let Some(history) = self.history.get_mut(&registered.name) {
            history.left = Some(now);
            let reason = reason.map(str::to_owned);
            let reason = reason.or_else(|| registered.peer.close_text());
            let reason = reason.unwrap_or_else(|| "the worker ended it".to_owned());
            if history.ended.len() == MAX_REGISTRATIONS {
                history.ended.pop_front();
            }
            history.ended.push_back(EndedRegistration {
                began: registered.since,
                ended: now,
                address: registered.peer.address(),
                reason: visible::beginning(&reason, MAX_REASON_BYTES).to_owned(),
            });
        }
        Some(registered)
    }

    /// Returns how many registrations came through `peer`.
    pub(crate) fn count_by_peer(&self, peer: &Peer) -> usize {
        let theirs = |registered: &&RegisteredWorker| registered.peer.is_same_connection(peer);
        self.registered.values().filter(theirs).count()
    }

    /// Returns the registered workers that are chosen by name.
    pub(crate) fn chosen(
        &self,
        mut is_chosen: impl FnMut(&WorkerName) -> bool,
    ) -> Vec<(WorkerName, Worker)> {
        let registered = self.registered.values();
        let chosen = registered.filter(|registered| is_chosen(&registered.name));
        chosen
            .map(|registered| (registered.name.clone(), registered.worker.clone()))
            .collect()
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&RegisteredWorker> {
        self.registered.get(&id)
    }

    /// Has all workers probed at once.
    pub(crate) fn probe_all(&self) {
        for registered in self.registered.values() {
            registered.liveness.probe_requested.notify_one();
        }
    }

    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut RegisteredWorker> {
        self.registered.get_mut(&id)
    }

    /// Returns the versions of the registered workers that report one, by name.
    pub(crate) fn versions(&self) -> Vec<(String, String)> {
        let versions = self.registered.values().filter_map(|registered| {
            let version = registered.version.clone()?;
            Some((registered.name.to_string(), version))
        });
        let mut versions: Vec<_> = versions.collect();
        versions.sort();
        versions
    }

    /// Keeps the task that probes a worker for as long as the worker is registered.
    pub(crate) fn watch(&mut self, id: WorkerId, task: JoinHandle<()>) {
        let watch = ProbeTask(task);
        if let Some(registered) = self.get_mut(id) {
            registered.liveness.watch = Some(watch);
        }
    }

    pub(crate) fn history(&self, name: &WorkerName) -> Option<&WorkerHistory> {
        self.history.get(name)
    }

    /// A job is assigned to a worker. Returns its number in this registration, counted from 1, as the worker counts it.
    pub(crate) fn job_assigned(&mut self, id: WorkerId) -> u64 {
        self.registered.get_mut(&id).map_or(0, |registered| {
            registered.assigned += 1;
            registered.assigned
        })
    }

    /// A worker did not get the job that was assigned to it last.
    pub(crate) fn job_not_given(&mut self, id: WorkerId) {
        if let Some(registered) = self.get_mut(id) {
            registered.assigned = registered.assigned.saturating_sub(1);
        }
    }

    /// A job has ended that was taken in this registration, which may have ended before.
    pub(crate) fn job_ended(&mut self, id: WorkerId) {
        if let Some(registered) = self.get_mut(id) {
            registered.finished += 1;
        }
    }

    pub(crate) fn forget(&mut self, name: &WorkerName) {
        self.history.remove(name);
    }
}
