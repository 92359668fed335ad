//! Messages that have begun to arrive and do not continue.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use crate::Limits;
use crate::close_reason::CloseReason;
use crate::link::Link;

/// Closes connections with stalled messages.
///
/// It keeps a checkpoint for each connection on which part of a message has arrived.
#[derive(Default)]
pub(crate) struct StallDetector(HashMap<u64, Checkpoint>);

/// When enough of a message had last arrived.
struct Checkpoint {
    since: Instant,
    /// How many bytes had arrived by then.
    received: u64,
}

impl StallDetector {
    /// Closes the connections whose messages have stalled for too long.
    pub(crate) fn check(&mut self, links: &HashMap<u64, Rc<Link>>) {
        self.0.retain(|id, _| {
            links
                .get(id)
                .is_some_and(|link| link.awaits_rest_of_message())
        });
        for (id, link) in links {
            if !link.awaits_rest_of_message() {
                continue;
            }
            let received = link.received.get();
            let now = || Checkpoint {
                since: Instant::now(),
                received,
            };
            let checkpoint = self.0.entry(*id).or_insert_with(now);
            let limit = link.limits.incomplete_time;
            if received >= checkpoint.received + Limits::INCOMING_PROGRESS {
                *checkpoint = now();
            } else if checkpoint.since.elapsed() >= limit {
                link.close(CloseReason::Violation(format!(
                    "a message stalled: fewer than {} bytes of it arrived within {} s",
                    Limits::INCOMING_PROGRESS,
                    limit.as_secs_f32()
                )));
            }
        }
    }
}
