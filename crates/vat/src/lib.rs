//! Keys, TLS, sturdy refs and cap files: how capabilities are reached over a network.
//!
//! A *vat* is a process with a key that hosts capabilities. One that listens has a [`Listener`], and a [`Restore`] that
//! finds the service with a secret id. One that only dials has a [`Dialer`]. A [`SturdyRef`] has everything that is
//! needed to reach a service, and a [cap file](cap_file) holds one.
//!
//! ```
//! use std::rc::Rc;
//!
//! use capnp::capability::Client;
//! use cluster_api::{Progress, RpcError, ServeProgress};
//! use futures::future::LocalBoxFuture;
//! use vat::*;
//!
//! /// A service with one method.
//! struct Printer;
//!
//! impl ServeProgress for Printer {
//!     async fn report(self: Rc<Self>, status: String) -> Result<(), RpcError> {
//!         println!("{status}");
//!         Ok(())
//!     }
//! }
//!
//! /// A vat with one service.
//! struct OneService(ServiceId, Client);
//!
//! impl Restore for OneService {
//!     fn restore(
//!         &self,
//!         id: &ServiceId,
//!         _peer: &Peer,
//!     ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
//!         let Self(known_id, client) = self;
//!         let service = (id == known_id).then(|| client.clone());
//!         Box::pin(async { service.ok_or(RestoreError::UnknownService) })
//!     }
//! }
//!
//! async fn serve_and_dial(cap_file: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     // One vat listens, and writes the cap file.
//!     let identity = Identity::ephemeral();
//!     let listener = Listener::bind(
//!         &Address::tcp("127.0.0.1", 0),
//!         Security::Tls(identity.clone()),
//!     )?;
//!     let sturdy_ref = SturdyRef {
//!         auth: Auth::Sha256(identity.fingerprint()),
//!         address: listener.local_address(),
//!         service: identity.derive("printer"),
//!     };
//!     cap_file::save(cap_file, &sturdy_ref)?;
//!     let printer = Progress::serve(Rc::new(Printer)).into_client();
//!     let services = OneService(sturdy_ref.service, printer);
//!     tokio::task::spawn_local(listener.serve(Rc::new(services), ServeOptions::default()));
//!
//!     // Another one reads the cap file, and calls the service.
//!     let dialer = Dialer::new(DialOptions::default());
//!     let session = dialer.connect(&cap_file::load(cap_file)?).await?;
//!     let printer = Progress::from_client(session.bootstrap());
//!     printer.report("hello").await?;
//!     Ok(())
//! }
//! #
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! #     let directory = tempfile::tempdir()?;
//! #     let cap_file = directory.path().join("printer.cap");
//! #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! #     let local = tokio::task::LocalSet::new();
//! #     local.block_on(&runtime, serve_and_dial(cap_file.to_str().expect("a UTF-8 path")))
//! # }
//! ```
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
mod endpoint;
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
mod search;
mod service_id;
mod socket;
mod stall_detector;
mod sturdy_ref;
mod successor;
mod text;
mod tls;
mod transport;

pub use address::{Address, ParseAddressError};
pub use backoff::{Backoff, Failure};
pub use cap_file::CapFileError;
pub use connect::{DialOptions, Dialer, Session};
pub use connect_error::{ConnectError, FailedEndpoint};
pub use counters::{Counters, Traffic};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use identity::Identity;
pub use key_file::IdentityError;
pub use limits::Limits;
pub use listen::{BoundAddress, Connections, ListenError, Listener, Security, ServeOptions};
pub use peer::Peer;
pub use phase::Phase;
pub use restore::{Restore, RestoreError};
pub use service_id::ServiceId;
pub use socket::KeepAlive;
pub use sturdy_ref::{Auth, ParseSturdyRefError, SturdyRef};
pub use successor::Loss;
