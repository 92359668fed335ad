//! The rows of each view.

mod details;
mod jobs;
mod pool;
mod pools;
mod worker;

use super::facts::Facts;
use super::place::View;
use super::row::{Row, Tone};

/// Returns all rows of a view, each at most `width` columns wide. The lines of a log have times if these are shown.
pub(super) fn rows(facts: &Facts, view: &View, width: usize, shows_times: bool) -> Vec<Row> {
    match view {
        View::Pools => pools::rows(facts, width),
        View::Pool(pool) => pool::rows(facts, pool, width),
        View::Worker { pool, worker } => details::worker(facts, pool, worker, width),
        View::Ticket { pool, ticket } => details::ticket(facts, pool, *ticket, width),
        View::Job(_) => details::job(facts, width, shows_times),
        View::Help => details::help(),
    }
}

/// Returns the heading of a list, after an empty line.
fn heading(text: &str) -> [Row; 2] {
    [Row::default(), Row::new(text, Tone::Heading)]
}
