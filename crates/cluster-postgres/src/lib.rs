//! PostgreSQL as the place where a cluster keeps its state.
//!
//! Everything that writes has the [`Lease`] of the database, and numbers its [`Batches`]: the database refuses those of
//! a process that another one has replaced, and saves none twice, whatever happens to connections. What reads has
//! [`Reads`]. Both connect again when the database was away. They block the thread that calls them, which must not be
//! one of an asynchronous runtime.

mod batches;
mod candidate;
mod error;
mod lease;
mod link;
mod reads;
mod schema;
mod session;
mod settings;
pub mod text;
mod tls;

pub use batches::{Batches, Settled, transact};
pub use candidate::{Candidate, Look, Peer, Renewal, SchedulerId, SchedulerRow};
pub use error::{Error, OpenError};
pub use lease::Lease;
pub use reads::Reads;
pub use schema::{Part, is_empty, prepare};
pub use session::{Session, Statement, Value};
pub use settings::{Settings, SettingsError};
pub use tokio_postgres::types::{FromSql, ToSql};
pub use tokio_postgres::{Error as RowError, Row};
