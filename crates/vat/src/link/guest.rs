//! What a listener keeps of each peer that has connected to it.

use std::cell::Cell;
use std::rc::Rc;

use super::strangers::{Place, Strangers};
use crate::notices::Notices;

/// What only a peer has that has connected to us.
pub(crate) struct Guest {
    pub(crate) place: Place,
    pub(crate) slot: Slot,
    pub(crate) notices: Rc<Notices>,
}

/// One open socket, counted until this is dropped.
pub(crate) struct Slot {
    pub(crate) sockets: Rc<Cell<usize>>,
    pub(crate) strangers: Strangers,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.sockets.set(self.sockets.get() - 1);
        self.strangers.notify();
    }
}
