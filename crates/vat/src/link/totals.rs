//! What all connections of one vat hold together.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::Link;
use crate::ending::Ending;

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

    /// Notes how much of a message has arrived at `link` that is not whole.
    pub(crate) fn note_incomplete(&self, link: &Link, now: usize) {
        let most = link.limits.incomplete;
        if change(&self.incomplete, &link.incomplete, now) > most {
            let why = format!(
                "it held most of more than {most} bytes of messages that had not arrived whole"
            );
            self.close_worst(link, |link| link.incomplete.get(), why);
        }
    }

    /// Notes how much waits to be sent to the peer of `link`.
    pub(crate) fn note_unsent(&self, link: &Link, now: usize) {
        let most = link.limits.unsent_total;
        if change(&self.unsent, &link.unsent, now) > most {
            let why = format!("it did not read, and most of more than {most} bytes were for it");
            self.close_worst(link, |link| link.unsent.get(), why);
        }
    }

    /// Closes the connection that has most of something, unless it is being closed.
    fn close_worst(&self, this: &Link, has: impl Fn(&Link) -> usize, why: String) {
        let links = self.links.borrow();
        let worst = links.values().max_by_key(|link| has(link));
        let worst = worst.filter(|link| has(link) > has(this));
        worst.map_or(this, |link| link).end(Ending::Hoarding(why));
    }
}

/// Sets a connection's part of a total; returns the total if it has grown by that, else 0.
fn change(total: &Cell<usize>, part: &Cell<usize>, now: usize) -> usize {
    let before = part.replace(now);
    total.set(total.get() - before + now);
    if now > before { total.get() } else { 0 }
}
