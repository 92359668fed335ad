//! Positions of queued tickets, for clients that want to know how long they will wait.
//!
//! Every waiting client may ask every second. So positions are not computed for each question: those of all tickets are
//! computed together, at most once a second, and only for the first of each queue.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pool::{Items, Snapshot, TicketId, Time, WaitingView, WorkerName};

/// How long computed positions are used.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How many tickets of each queue have positions of their own. For all behind them it is the length of the backlog.
pub(crate) const MAX_POSITIONS: usize = 1_000;

/// A queued ticket's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuePosition {
    /// In whose queue it is; `None` for the backlog.
    pub(crate) worker: Option<WorkerName>,
    /// How many tickets are before it there.
    pub(crate) ahead: u32,
    /// Why no worker takes jobs, if none does. Only in the backlog: a ticket in a queue has a worker that takes jobs.
    pub(crate) obstacle: Option<Rc<str>>,
}

/// Positions of queued tickets at one moment.
#[derive(Debug, Default)]
pub(crate) struct QueuePositions {
    taken_at: Option<Time>,
    positions: HashMap<TicketId, QueuePosition>,
    backlog: u32,
    obstacle: Option<Rc<str>>,
}

impl QueuePositions {
    /// Returns whether these are still recent at `now`.
    pub(crate) fn are_fresh(&self, now: Time) -> bool {
        self.taken_at
            .is_some_and(|taken_at| now < taken_at + MAX_AGE)
    }

    /// `obstacle` is why no worker takes jobs, if none does.
    pub(crate) fn take(now: Time, snapshot: &Snapshot, obstacle: Option<String>) -> Self {
        let mut queue_positions = Self {
            taken_at: Some(now),
            obstacle: obstacle.map(Rc::from),
            ..Self::default()
        };
        if let WaitingView::Backlog(items) = &snapshot.waiting {
            queue_positions.add(None, items);
            queue_positions.backlog = count(items.first.len() + items.more);
        }
        for worker in &snapshot.workers {
            queue_positions.add(Some(&worker.name), &worker.queue);
        }
        queue_positions
    }

    fn add(&mut self, worker: Option<&WorkerName>, items: &Items) {
        for (ahead, item) in items.first.iter().enumerate() {
            let position = QueuePosition {
                worker: worker.cloned(),
                ahead: count(ahead),
                obstacle: None,
            };
            self.positions.insert(item.ticket, position);
        }
    }

    /// Returns the position of a queued ticket. One that was submitted later, or is far behind, has the whole backlog
    /// ahead.
    pub(crate) fn of(&self, ticket: TicketId) -> QueuePosition {
        let last = || QueuePosition {
            worker: None,
            ahead: self.backlog,
            obstacle: None,
        };
        let mut position = self.positions.get(&ticket).cloned().unwrap_or_else(last);
        if position.worker.is_none() {
            position.obstacle = self.obstacle.clone();
        }
        position
    }
}

fn count(tickets: usize) -> u32 {
    u32::try_from(tickets).unwrap_or(u32::MAX)
}
