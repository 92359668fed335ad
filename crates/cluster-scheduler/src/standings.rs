//! Where queued tickets stand, for clients that want to know how long it will take.
//!
//! Every waiting client may ask every second, so nobody's place is counted for it alone: all places are taken down
//! together, at most once a second, and only those that are worth telling apart.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pool::{Items, MainView, Snapshot, TicketId, Time, WorkerName};

/// How long the places hold.
const FRESH: Duration = Duration::from_secs(1);

/// How many tickets of each queue have places of their own. Those behind are all told of the whole backlog.
pub(crate) const PLACES: usize = 1_000;

/// A queued ticket's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// In whose queue it is; `None` for the backlog.
    pub(crate) worker: Option<WorkerName>,
    /// How many tickets are before it there.
    pub(crate) ahead: u32,
    /// Why no worker takes jobs, if none does. Only of the backlog: what is in a queue has a worker that does.
    pub(crate) obstacle: Option<Rc<str>>,
}

/// Where queued tickets stood at some moment.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    taken: Option<Time>,
    places: HashMap<TicketId, Standing>,
    backlog: u32,
    obstacle: Option<Rc<str>>,
}

impl Standings {
    /// Tells whether these will do at the time `now`.
    pub(crate) fn are_fresh(&self, now: Time) -> bool {
        self.taken.is_some_and(|taken| now < taken + FRESH)
    }

    /// `obstacle` is why no worker takes jobs, if none does.
    pub(crate) fn take(now: Time, snapshot: &Snapshot, obstacle: Option<String>) -> Self {
        let mut standings = Self {
            taken: Some(now),
            obstacle: obstacle.map(Rc::from),
            ..Self::default()
        };
        if let MainView::Backlog(items) = &snapshot.main {
            standings.add(None, items);
            standings.backlog = count(items.first.len() + items.more);
        }
        for worker in &snapshot.workers {
            standings.add(Some(&worker.name), &worker.queue);
        }
        standings
    }

    fn add(&mut self, worker: Option<&WorkerName>, items: &Items) {
        for (ahead, item) in items.first.iter().enumerate() {
            let standing = Standing {
                worker: worker.cloned(),
                ahead: count(ahead),
                obstacle: None,
            };
            self.places.insert(item.ticket, standing);
        }
    }

    /// Returns the place of a queued ticket. One that has come since, or is far behind, has the backlog before it.
    pub(crate) fn of(&self, ticket: TicketId) -> Standing {
        let last = || Standing {
            worker: None,
            ahead: self.backlog,
            obstacle: None,
        };
        let mut standing = self.places.get(&ticket).cloned().unwrap_or_else(last);
        if standing.worker.is_none() {
            standing.obstacle = self.obstacle.clone();
        }
        standing
    }
}

fn count(tickets: usize) -> u32 {
    u32::try_from(tickets).unwrap_or(u32::MAX)
}
