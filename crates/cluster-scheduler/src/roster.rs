//! The workers as the scheduler deals with them: what the connected ones serve to us, and what is known of those that
//! left. The pool knows what they are good for.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use cluster_api::{PauseReason, Worker};
use pool::{Time, WorkerId, WorkerName};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use vat::Peer;

/// The registrations that stand, and who has registered since the start.
#[derive(Default)]
pub(crate) struct Roster {
    registered: HashMap<WorkerId, Registered>,
    seen: BTreeMap<WorkerName, Seen>,
}

/// A registration that stands.
pub(crate) struct Registered {
    pub(crate) name: WorkerName,
    /// What the worker serves to us.
    pub(crate) worker: Worker,
    /// The connection that it came through.
    pub(crate) peer: Peer,
    pub(crate) since: Time,
    /// The version of its program, once it has said so.
    pub(crate) version: Option<String>,
    /// How many jobs it has been given.
    given: u64,
    /// How many jobs it has ended.
    pub(crate) finished: u64,
    /// Why it pauses itself, as it said.
    pub(crate) pause_reasons: Vec<PauseReason>,
    pub(crate) pulse: Pulse,
}

/// What is known of whether a worker is there.
#[derive(Default)]
pub(crate) struct Pulse {
    /// Since when it has owed an answer, without a sign of life; `None` if it owes none.
    pub(crate) silent_since: Option<Time>,
    /// Whether somebody waits for its next sign of life: a job, or a worker that wants its name.
    pub(crate) is_waited_for: bool,
    /// Whether it counts as not answering.
    pub(crate) is_not_answering: bool,
    /// Has it asked at once.
    pub(crate) wanted: Rc<Notify>,
    /// Tells whoever waits.
    pub(crate) signs: watch::Sender<Sign>,
    /// What asks it, which ends with this.
    watch: Option<Watch>,
}

/// The last news of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It gave a sign of life.
    #[default]
    Alive,
    /// It gave none for too long.
    NotAnswering,
}

/// A task that is ended when this is dropped.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A worker that has been connected since the start.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) registrations: u64,
    /// When it last left; `None` if it has not.
    pub(crate) left: Option<Time>,
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
        self.seen.entry(name.clone()).or_default().registrations += 1;
        let registered = Registered {
            name,
            worker,
            peer,
            since: now,
            version: None,
            given: 0,
            finished: 0,
            pause_reasons: Vec::new(),
            pulse: Pulse::default(),
        };
        self.registered.insert(id, registered);
    }

    /// Takes out a registration that has ended. What is returned must be dropped where it can do no harm.
    #[must_use]
    pub(crate) fn remove(&mut self, now: Time, id: WorkerId) -> Option<Registered> {
        let registered = self.registered.remove(&id)?;
        if let Some(seen) = self.seen.get_mut(&registered.name) {
            seen.left = Some(now);
        }
        Some(registered)
    }

    /// Returns how many registrations came through `peer`.
    pub(crate) fn count_of(&self, peer: &Peer) -> usize {
        let theirs = |registered: &&Registered| registered.peer.is_same_connection(peer);
        self.registered.values().filter(theirs).count()
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&Registered> {
        self.registered.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: WorkerId) -> Option<&mut Registered> {
        self.registered.get_mut(&id)
    }

    /// Returns the versions of the registered workers that say one, in the order of their names.
    pub(crate) fn versions(&self) -> Vec<(String, String)> {
        let versions = self.registered.values().filter_map(|registered| {
            let version = registered.version.clone()?;
            Some((registered.name.to_string(), version))
        });
        let mut versions: Vec<_> = versions.collect();
        versions.sort();
        versions
    }

    /// Has a task watch over a worker for as long as it is registered.
    pub(crate) fn watch(&mut self, id: WorkerId, task: JoinHandle<()>) {
        let watch = Watch(task);
        if let Some(registered) = self.get_mut(id) {
            registered.pulse.watch = Some(watch);
        }
    }

    pub(crate) fn seen(&self, name: &WorkerName) -> Option<&Seen> {
        self.seen.get(name)
    }

    /// A job is given to a worker. Returns the how manyth that is in this registration: the worker counts as we do.
    pub(crate) fn job_given(&mut self, id: WorkerId) -> u64 {
        self.registered.get_mut(&id).map_or(0, |registered| {
            registered.given += 1;
            registered.given
        })
    }

    /// A job has ended that was taken in this registration, which may have ended before.
    pub(crate) fn job_ended(&mut self, id: WorkerId) {
        if let Some(registered) = self.get_mut(id) {
            registered.finished += 1;
        }
    }

    pub(crate) fn forget(&mut self, name: &WorkerName) {
        self.seen.remove(name);
    }
}
