//! Keys, TLS, sturdy refs and cap files: how capabilities are reached over a network.
//!
//! A *vat* is a process with a key that hosts capabilities. One that listens has a [`Listener`], and a [`Restore`] that
//! finds the service with a secret id. One that only dials has a [`Dialer`]. A [`SturdyRef`] has everything that is
//! needed to reach a service, and a [cap file](cap_file) holds one.
//!
//! The wire protocol is that of OCluster's OCaml programs. Everything runs on one thread, in a Tokio `LocalSet`, as
//! capabilities are not `Send`.
//!
//! # Reading order
//!
//! `sturdy_ref` and `identity` define the terms. `listen` and `connect` are the two ends. Below them, `link` is one
//! connection, `connection` the task that drives it, and `transport` the RPC system's view of it. `restore` explains
//! how service ids are sent.

mod address;
mod backoff;
pub mod cap_file;
mod certificate;
mod close_reason;
mod connect;
mod connect_error;
mod connection;
mod counters;
mod descriptors;
mod encoding;
mod fingerprint;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod key_file;
mod labels;
mod ledger;
mod limits;
mod link;
mod listen;
mod log_limiter;
mod outbox;
mod peer;
mod phase;
mod restore;
mod service_id;
mod socket;
mod stall_detector;
mod sturdy_ref;
mod text;
mod tls;
mod transport;

pub use address::{Address, ParseAddressError};
pub use backoff::Backoff;
pub use cap_file::CapFileError;
pub use connect::{DialOptions, Dialer, Session};
pub use connect_error::ConnectError;
pub use counters::{Counters, Traffic};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use identity::Identity;
pub use key_file::IdentityError;
pub use limits::Limits;
pub use listen::{Connections, ListenError, Listener, Security, ServeOptions};
pub use peer::Peer;
pub use phase::Phase;
pub use restore::{Restore, RestoreError};
pub use service_id::ServiceId;
pub use socket::KeepAlive;
pub use sturdy_ref::{Auth, ParseSturdyRefError, SturdyRef};
