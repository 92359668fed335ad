//! Pages of metrics for Prometheus: the scheduler's own, and those of workers.
//!
//! Numbers are read from the state at each request, so that none can be out of date. What the state does not
//! keep is counted where it happens: a pool's [`History`](crate::history::History) in its reactor,
//! [`crate::db::WriterStats`] in the database's writer.

mod content_type;
mod discovery;
mod example;
mod report;
mod scrape;
mod source;
mod stalls;

pub(crate) use self::discovery::targets;
pub use self::example::example_metrics;
pub(crate) use self::report::{LeaseReport, Report, standby_page};
pub(crate) use self::scrape::Scrapes;
pub(crate) use self::source::Source;
pub(crate) use self::stalls::Stalls;
