//! Jobs that outlive connections: this program's, its scheduler's and its workers'.

mod changes;
mod error;
mod job;
mod key;
mod link;
mod log;
mod submission;

pub use changes::StatusChanges;
pub use error::DurableError;
pub use job::DurableJob;
pub use log::DurableLog;
