//! Connects the worker to a scheduler.

use cluster_api::Registration;
use futures::future::{FutureExt as _, LocalBoxFuture};
use vat::{ConnectError, DialOptions, Dialer, Failure, SturdyRef};

/// Reaches a scheduler.
pub(crate) trait Uplink {
    /// Connects to the scheduler.
    ///
    /// # Errors
    /// Why that is not possible.
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, NoConnection>>;
}

/// Why there is no connection to a scheduler.
#[derive(Debug)]
pub(crate) struct NoConnection {
    pub(crate) failure: Failure,
    pub(crate) reason: String,
}

impl From<ConnectError> for NoConnection {
    fn from(error: ConnectError) -> Self {
        Self {
            failure: match error.needs_another_cap_file() {
                true => Failure::Refused,
                false => Failure::NotConnected,
            },
            reason: error.to_string(),
        }
    }
}

/// A connection to a scheduler. It closes when this and all capabilities from it are dropped.
pub(crate) struct Connection {
    /// The service to register with.
    pub(crate) registration: Registration,
    /// Ends when the connection ends, with the reason.
    pub(crate) lost: LocalBoxFuture<'static, String>,
    /// Ends when all data for the scheduler has been sent, or the connection has ended.
    pub(crate) flushed: LocalBoxFuture<'static, ()>,
}

/// An uplink over the network, by a sturdy ref.
pub(crate) struct Network {
    dialer: Dialer,
    sturdy_ref: SturdyRef,
}

impl Network {
    pub(crate) fn new(sturdy_ref: SturdyRef) -> Self {
        Self {
            dialer: Dialer::new(DialOptions::default()),
            sturdy_ref,
        }
    }
}

impl Uplink for Network {
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, NoConnection>> {
        async move {
            tracing::info!("Connecting to {}", self.sturdy_ref.address);
            let session = self.dialer.connect(&self.sturdy_ref).await?;
            let registration = Registration::from_client(session.bootstrap());
            let peer = session.peer();
            let flushed = async move { peer.flushed().await };
            let lost = async move {
                let error = session.closed().await;
                drop(session);
                error.extra
            };
            Ok(Connection {
                registration,
                lost: lost.boxed_local(),
                flushed: flushed.boxed_local(),
            })
        }
        .boxed_local()
    }
}
