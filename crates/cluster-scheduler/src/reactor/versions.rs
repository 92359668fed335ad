//! Which version of its program each worker runs.

use std::rc::Rc;

use pool::WorkerId;
use visible::is_visible;

use super::Reactor;

/// The longest version that is kept, in bytes. Longer ones are none.
const MAX_VERSION_BYTES: usize = 100;

impl Reactor {
    /// Asks a worker for its version, and keeps it for as long as the worker is registered.
    ///
    /// Those that do not know the question, as upstream's, have none.
    pub(super) fn ask_version(self: &Rc<Self>, id: WorkerId) {
        let state = self.state.borrow();
        let Some(registered) = state.workers.get(id) else {
            return;
        };
        let answer = registered.worker.version();
        let reactor = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            let version = answer.await.ok().filter(|version| is_version(version));
            if let (Some(version), Some(reactor)) = (version, reactor.upgrade())
                && let Some(registered) = reactor.state.borrow_mut().workers.get_mut(id)
            {
                registered.version = Some(version);
            }
        });
    }
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_VERSION_BYTES && text.chars().all(is_visible)
}
