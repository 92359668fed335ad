//! A worker that registers under its name while its old connection lingers.
//!
//! The network failed, or the machine was restarted, and the scheduler has not noticed. The incumbent is probed. If it
//! answers, the newcomer is refused, so that it cannot take the name of a working worker. If it does not, its
//! registration and its connection end, and the newcomer gets the name.

use pool::{WorkerId, WorkerName};
use vat::Peer;

use super::Reactor;
use crate::roster::LivenessState;

/// A registration whose name a newcomer wants.
enum Incumbent {
    /// It keeps the name.
    Stays,
    /// It is the newcomer itself by an older connection, or does not answer: the newcomer replaces it.
    Replaced(&'static str),
    /// It is being probed, and its next state decides.
    Probed(tokio::sync::watch::Receiver<LivenessState>),
}

impl Reactor {
    /// Ends the registration of `name` if its worker does not answer any more, which may take some seconds to find out.
    ///
    /// `process` identifies the process of the newcomer, if that is known.
    pub(crate) async fn resolve_name_conflict(
        &self,
        name: &WorkerName,
        newcomer: &Peer,
        process: Option<u64>,
    ) {
        // It may be the same worker, whose old connection broke only just now.
        self.release_departed_workers();
        while let Some(id) = self.registration(name) {
            match self.incumbent(id, newcomer, process) {
                Incumbent::Stays => return,
                Incumbent::Replaced(why) => return self.evict(id, name, newcomer, why),
                Incumbent::Probed(mut state) => {
                    self.probe_now(id);
                    // An error means that the registration has ended meanwhile.
                    if state.changed().await.is_ok() && *state.borrow() == LivenessState::Responsive
                    {
                        return;
                    }
                }
            }
        }
    }

    fn registration(&self, name: &WorkerName) -> Option<WorkerId> {
        self.state.borrow().pool.registration(name)
    }

    fn incumbent(&self, id: WorkerId, newcomer: &Peer, process: Option<u64>) -> Incumbent {
        let state = self.state.borrow();
        let Some(registered) = state.workers.get(id) else {
            return Incumbent::Stays;
        };
        let (peer, liveness) = (&registered.peer, &registered.liveness);
        let returning = registered.returning.as_ref();
        let is_same_process = peer.id().is_some() && peer.id() == newcomer.id()
            || process.is_some() && returning.and_then(|worker| worker.process) == process;
        if peer.is_same_connection(newcomer) {
            // It has just sent this request, so it answers, and tries to register twice.
            Incumbent::Stays
        } else if is_same_process {
            // A process makes its key and its instance when it starts. It has given up its old connection.
            Incumbent::Replaced("taken over by a new connection of the same process")
        } else if liveness.is_not_answering {
            Incumbent::Replaced("taken over by a new registration, as it did not answer")
        } else {
            Incumbent::Probed(liveness.state.subscribe())
        }
    }

    /// Ends a registration and its connection. The jobs that it ran are lost, and their clients get the reason. Durable
    /// ones continue, if it is the worker itself that returns with them.
    fn evict(&self, id: WorkerId, name: &WorkerName, newcomer: &Peer, why: &str) {
        let peer = self
            .state
            .borrow()
            .workers
            .get(id)
            .map(|old| old.peer.clone());
        let Some(peer) = peer else { return };
        tracing::warn!(
            target: "scheduler",
            "Replacing worker {:?} at {} with the one at {}: {why}",
            name.as_str(), peer.address(), newcomer.address()
        );
        self.release(id, Some(why));
        peer.close(why);
    }
}
