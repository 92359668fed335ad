//! What the short forms in a pool's state mean.

use crate::json::pools::{Queue, Worker};
use cli::human::table;

/// Explains those forms that a state has.
pub(super) fn text(workers: &[&Worker], queue: &Queue) -> String {
    let mut rows = Vec::new();
    let mut explain = |form: &str, lines: &[&str]| {
        for (nth, line) in lines.iter().enumerate() {
            let form = if nth == 0 { form } else { "" };
            rows.push(vec![format!("  {form}"), (*line).to_owned()]);
        }
    };
    if !queue.jobs.is_empty() {
        explain(
            "CLIENT:HINT@TIME(COST)",
            &[
                "a queued job; the rightmost is the next",
                "@TIME: its start if each client got exactly its share",
                "(s: seconds, m: minutes; negative: overdue)",
                "COST: its expected length in seconds",
                "+urgent: scheduled before jobs that are not urgent",
            ],
        );
        explain(
            "TICKET",
            &[
                "its number; ocluster-admin job CAP POOL/TICKET shows",
                "all that is known of it, and why it waits",
            ],
        );
    }
    if workers.iter().any(|worker| worker.connected) {
        explain(
            "WORKER (SECONDS): [...]",
            &["SECONDS: total expected length of its queued jobs"],
        );
    }
    if !queue.clients.is_empty() {
        explain(
            "CLIENT(RATE)+TIME",
            &[
                "RATE: its share of the pool, in jobs at once",
                "+TIME: it has used more than its share, and its next",
                "job would start in TIME",
            ],
        );
    }
    match rows.is_empty() {
        true => String::new(),
        false => format!("legend:\n{}", table(&rows)),
    }
}
