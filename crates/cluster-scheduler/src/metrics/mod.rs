//! What the scheduler tells Prometheus, and whoever watches over it.
//!
//! Numbers are read off the state when somebody asks, so that none can be forgotten somewhere. What the state does not
//! keep is counted where it happens: a pool's [`History`](crate::history::History) in its reactor, [`crate::db::WriterStats`] in the database's
//! writer.

mod content_type;
mod discovery;
mod example;
mod page;
mod report;
mod scrape;
mod source;
mod stalls;

pub(crate) use self::discovery::targets;
pub use self::example::example_metrics;
pub(crate) use self::page::CONTENT_TYPE as PAGE_TYPE;
pub(crate) use self::report::Report;
pub(crate) use self::scrape::Scrapes;
pub(crate) use self::source::Source;
pub(crate) use self::stalls::Stalls;
