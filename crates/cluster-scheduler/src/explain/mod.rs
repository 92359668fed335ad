//! Why a job waits, and why a worker runs no more jobs: one reason and one text, which clients, operators, pages and
//! programs get alike.
//!
//! Nothing here reads a clock or waits: facts of the pool, its workers and the job go in, and an explanation comes out.
//!
//! - [`WaitReport`] has the facts of a pool. Every waiting client may ask every second, so they are gathered at most
//!   once a second, for all jobs together.
//! - `WorkerState` is a worker, `Cause` why it takes no jobs, and `Obstacle` why none does.
//! - `Reason` is why one job waits. A line for people begins with it, and ends with what the job itself adds
//!   ([`JobFacts`]).

mod cause;
mod idleness;
mod job;
mod obstacle;
mod reason;
mod report;
mod worker;
mod workers;

pub(crate) use job::{JobFacts, Retry, away, plain, starting, unknown_pool};
pub(crate) use report::{MAX_POSITIONS, Moment, QueuePosition, WaitReport};

use visible::shortened;

/// The longest text of an explanation, in bytes. Most are far shorter, but workers report their problems in any words.
const MAX_TEXT_BYTES: usize = 16 << 10;

/// How many workers are named in a text. A pool may have thousands.
const MAX_NAMED_WORKERS: usize = 5;

fn limited(text: String) -> String {
    match text.len() {
        ..=MAX_TEXT_BYTES => text,
        _ => shortened(&text, MAX_TEXT_BYTES).into_owned(),
    }
}
