//! The memory that all connections of a vat use together.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::Link;
use crate::close_reason::CloseReason;

/// The connections of a vat, by numbers of their own.
pub(crate) type Links = Rc<RefCell<HashMap<u64, Rc<Link>>>>;

/// Bytes in memory for all connections, by what they are.
#[derive(Default)]
pub(crate) struct Totals {
    links: Links,
    incomplete: Cell<usize>,
    unsent: Cell<usize>,
}

impl Totals {
    pub(crate) fn new(links: Links) -> Self {
        Self {
            links,
            ..Self::default()
        }
    }

    /// Notes that `link` holds `now` bytes of an incomplete message.
    pub(crate) fn note_incomplete(&self, link: &Link, now: usize) {
        let limit = link.limits.incomplete;
        if update(&self.incomplete, &link.incomplete, now) > limit {
            self.close_largest(link, "incomplete messages", limit, |l| l.incomplete.get());
        }
    }

    /// Notes that `now` bytes wait to be sent to the peer of `link`.
    pub(crate) fn note_unsent(&self, link: &Link, now: usize) {
        let limit = link.limits.unsent_total;
        if update(&self.unsent, &link.unsent, now) > limit {
            self.close_largest(link, "unsent data", limit, |l| l.unsent.get());
        }
    }

    /// Closes the connection with the largest `size` of `what`, unless it is being closed. It is `link` in case of
    /// doubt.
    fn close_largest(&self, link: &Link, what: &str, limit: usize, size: impl Fn(&Link) -> usize) {
        let links = self.links.borrow();
        let largest = links.values().max_by_key(|other| size(other));
        let largest = largest.filter(|largest| size(largest) > size(link));
        largest
            .map_or(link, |largest| largest)
            .close(CloseReason::TooMuchMemory(format!(
                "the {what} of all connections exceeded {limit} bytes, and this connection had the most"
            )));
    }
}

/// Sets a connection's part of a total. Returns the new total if the part has grown, and 0 otherwise.
fn update(total: &Cell<usize>, part: &Cell<usize>, now: usize) -> usize {
    let before = part.replace(now);
    total.set(total.get() - before + now);
    if now > before { total.get() } else { 0 }
}
