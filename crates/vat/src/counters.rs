//! Counters of connections, messages and bytes.

use std::cell::Cell;
use std::rc::Rc;

/// The counters of a listener or dialer. Clones share them.
#[derive(Clone, Default, Debug)]
pub struct Counters(Rc<Cells>);

#[derive(Default, Debug)]
struct Cells {
    opened: Cell<u64>,
    closed: Cell<u64>,
    rejected: Cell<u64>,
    messages_in: Cell<u64>,
    messages_out: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

/// The values of [`Counters`] at one moment: totals since the start, and the number of open connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Open connections.
    pub connections: u64,
    /// Connections opened since the start.
    pub connections_opened: u64,
    /// Connections rejected before they were open, such as those with a failed or slow TLS handshake.
    pub connections_rejected: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Messages sent or queued.
    pub messages_out: u64,
    /// Bytes received, without the overhead of TLS.
    pub bytes_in: u64,
    /// Bytes sent, without the overhead of TLS.
    pub bytes_out: u64,
}

impl Counters {
    /// Returns the current values.
    pub fn read(&self) -> Traffic {
        let cells = &self.0;
        Traffic {
            connections: cells.opened.get() - cells.closed.get(),
            connections_opened: cells.opened.get(),
            connections_rejected: cells.rejected.get(),
            messages_in: cells.messages_in.get(),
            messages_out: cells.messages_out.get(),
            bytes_in: cells.bytes_in.get(),
            bytes_out: cells.bytes_out.get(),
        }
    }

    pub(crate) fn opened(&self) {
        add(&self.0.opened, 1);
    }

    pub(crate) fn closed(&self) {
        add(&self.0.closed, 1);
    }

    pub(crate) fn rejected(&self) {
        add(&self.0.rejected, 1);
    }

    pub(crate) fn message_in(&self) {
        add(&self.0.messages_in, 1);
    }

    pub(crate) fn message_out(&self) {
        add(&self.0.messages_out, 1);
    }

    pub(crate) fn bytes_in(&self, count: usize) {
        add(&self.0.bytes_in, count as u64);
    }

    pub(crate) fn bytes_out(&self, count: usize) {
        add(&self.0.bytes_out, count as u64);
    }
}

fn add(cell: &Cell<u64>, count: u64) {
    cell.set(cell.get() + count);
}
