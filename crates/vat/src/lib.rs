//! Keys, TLS, sturdy refs and cap files: how capabilities are reached over a network.
//!
//! A *vat* is a process with a key, which hosts capabilities. One that others connect to has a [`Listener`] and a
//! [`Restore`] that finds the service for a secret id; one that only connects has a [`Dialer`]. A [`SturdyRef`] says
//! everything that is needed to reach a service, and a [cap file](cap_file) holds one.
//!
//! What is on the wire is what OCluster's OCaml programs speak. All of it runs on one thread, in a Tokio `LocalSet`:
//! capabilities are not `Send`.
//!
//! # Reading order
//!
//! [`sturdy_ref`](SturdyRef) and [`identity`](Identity) for the words; `listen` and `connect` for the two ends; then
//! `link`, one connection as all share it, with `connection` (the task that drives it) and `transport` (what the RPC
//! system sees of it). `restore` explains how service ids travel.

mod address;
pub mod cap_file;
mod certificate;
mod connect;
mod connect_error;
mod connection;
mod counters;
mod descriptors;
mod encoding;
mod ending;
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
mod notices;
mod outbox;
mod peer;
mod phase;
mod progress;
mod reconnect;
mod restore;
mod service_id;
mod socket;
mod sturdy_ref;
mod text;
mod tls;
mod transport;

pub use address::{Address, ParseAddressError};
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
pub use reconnect::Backoff;
pub use restore::{Restore, RestoreError};
pub use service_id::ServiceId;
pub use socket::KeepAlive;
pub use sturdy_ref::{Auth, ParseSturdyRefError, SturdyRef};
