//! Workers and tickets that were released, and are removed a moment later, a few at a time.

use std::collections::VecDeque;

use cluster_api::TicketEnd;
use pool::{TicketId, WorkerId};

use super::clients::Cancelled;
use super::{MAX_TICKETS_PER_TURN, Reactor};

/// What was released and has not been removed.
#[derive(Default)]
pub(super) struct Departed {
    pub(super) workers: Vec<WorkerId>,
    pub(super) tickets: VecDeque<TicketId>,
}

impl Reactor {
    pub(super) async fn clear_departed(&self) {
        loop {
            self.release_departed_workers();
            let mut left = MAX_TICKETS_PER_TURN;
            while left > 0
                && let Some(ticket) = self.next_departed_ticket()
            {
                let (Cancelled::Queued | Cancelled::NotQueued) =
                    self.cancel(ticket, TicketEnd::Released);
                left -= 1;
            }
            if left > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    fn next_departed_ticket(&self) -> Option<TicketId> {
        self.departed.borrow_mut().tickets.pop_front()
    }

    pub(super) fn release_departed_workers(&self) {
        let departed = std::mem::take(&mut self.departed.borrow_mut().workers);
        for id in departed {
            self.release(id, None);
        }
    }

    /// Ends a registration, unless it has ended before. Without a reason, it has that of its connection.
    pub(super) fn release(&self, id: WorkerId, reason: Option<&str>) {
        let (_registered, _) = self.apply(|state, now| {
            state.pool.release(id);
            state.pauses.end_registration(id);
            state.workers.remove(now, id, reason)
        });
    }
}
