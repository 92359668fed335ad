//! What the scheduler tells Prometheus, and whoever watches over it.
//!
//! Numbers are read off the state when somebody asks, so that none can be forgotten somewhere. What the state does not
//! keep is counted where it happens: a pool's [`History`] in its reactor, [`crate::db::WriterStats`] in the database's
//! writer.

mod body;
mod content_type;
mod discovery;
mod endpoint;
mod example;
mod history;
mod http;
mod page;
mod report;
mod route;
mod scrape;
mod stalls;

pub(crate) use self::endpoint::Endpoint;
pub use self::example::example_metrics;
pub(crate) use self::history::{History, JobEnd};
pub(crate) use self::http::HttpServer;
pub(crate) use self::report::PoolReport;
