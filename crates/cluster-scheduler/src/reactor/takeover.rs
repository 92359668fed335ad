//! A worker that comes back under its name while its old connection lingers.
//!
//! The network failed, or its machine was restarted, and nothing at our end has noticed. Whoever holds the name is asked
//! whether it is there. If it is, the newcomer is refused, so that nobody can take the name of a worker that works; if it
//! is not, its registration and its connection end, and the newcomer gets the name.

use pool::{WorkerId, WorkerName};
use vat::Peer;

use super::Reactor;
use crate::roster::Sign;

/// What is to become of a registration whose name somebody else wants.
enum Holder {
    /// It keeps the name.
    Stays,
    /// It is the newcomer itself, by another connection, or does not answer: it goes.
    Goes(&'static str),
    /// Its next sign decides.
    IsAsked(tokio::sync::watch::Receiver<Sign>),
}

impl Reactor {
    /// Ends the registration of `name` if whoever holds it is not there any more. That may take some seconds to find out.
    pub(crate) async fn vacate(&self, name: &WorkerName, newcomer: &Peer) {
        // It may be the same worker, whose old connection broke only just now.
        self.release_departed_workers();
        while let Some(id) = self.registration(name) {
            match self.holder(id, newcomer) {
                Holder::Stays => return,
                Holder::Goes(why) => return self.evict(id, name, newcomer, why),
                Holder::IsAsked(mut sign) => {
                    self.want_sign(id);
                    // An error means that the registration has ended meanwhile.
                    if sign.changed().await.is_ok() && *sign.borrow() == Sign::Alive {
                        return;
                    }
                }
            }
        }
    }

    fn registration(&self, name: &WorkerName) -> Option<WorkerId> {
        self.state.borrow().pool.registration(name)
    }

    fn holder(&self, id: WorkerId, newcomer: &Peer) -> Holder {
        let state = self.state.borrow();
        let Some(registered) = state.workers.get(id) else {
            return Holder::Stays;
        };
        let (peer, pulse) = (&registered.peer, &registered.pulse);
        if peer.is_same_connection(newcomer) {
            // What has just come proves that it is there, and means to be two.
            Holder::Stays
        } else if peer.id().is_some() && peer.id() == newcomer.id() {
            // Only that very process has the key, which it makes when it starts; and it has given up its old connection.
            Holder::Goes("taken over by a new connection of the same process")
        } else if pulse.is_not_answering {
            Holder::Goes("taken over by a new registration, as it did not answer")
        } else {
            Holder::IsAsked(pulse.signs.subscribe())
        }
    }

    /// Ends a registration and its connection: what it ran is lost, and its clients are told why.
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
            "Worker {:?} at {} is given up for the one at {}: {why}",
            name.as_str(), peer.address(), newcomer.address()
        );
        self.release(id);
        peer.close(why);
    }
}
