//! Whether messages that have begun to arrive go on to arrive.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use crate::Limits;
use crate::ending::Ending;
use crate::link::Link;

/// When enough of a message had come the last time, for each connection that has a part of one.
#[derive(Default)]
pub(crate) struct Progress(HashMap<u64, Mark>);

struct Mark {
    since: Instant,
    /// How many bytes had come by then.
    received: u64,
}

impl Progress {
    /// Ends the connections whose messages have not come on in time.
    pub(crate) fn look(&mut self, links: &HashMap<u64, Rc<Link>>) {
        self.0
            .retain(|id, _| links.get(id).is_some_and(|link| link.waits_for_more()));
        for (id, link) in links {
            if !link.waits_for_more() {
                continue;
            }
            let received = link.received.get();
            let mark = self.0.entry(*id).or_insert_with(|| Mark {
                since: Instant::now(),
                received,
            });
            let patience = link.limits.incomplete_time;
            if received >= mark.received + Limits::INCOMING_PROGRESS {
                *mark = Mark {
                    since: Instant::now(),
                    received,
                };
            } else if mark.since.elapsed() >= patience {
                link.end(Ending::Violation(format!(
                    "a message has not arrived within {} s, nor {} bytes of it",
                    patience.as_secs_f32(),
                    Limits::INCOMING_PROGRESS
                )));
            }
        }
    }
}
