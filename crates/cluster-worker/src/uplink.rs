//! Connects the worker to a scheduler.

use std::cell::Cell;
use std::rc::Rc;

use cluster_api::Registration;
use futures::future::{FutureExt as _, LocalBoxFuture};
use vat::{ConnectError, DialOptions, Dialer, Failure, Session, SturdyRef};

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
    /// The connection to another scheduler, which has been found while the last one was silent.
    successor: Rc<Cell<Option<Session>>>,
}

impl Network {
    pub(crate) fn new(sturdy_ref: SturdyRef, dial: DialOptions) -> Self {
        Self {
            dialer: Dialer::new(dial),
            sturdy_ref,
            successor: Rc::default(),
        }
    }

    async fn session(&self) -> Result<Session, ConnectError> {
        if let Some(successor) = self.successor.take()
            && !successor.peer().is_closed()
        {
            return Ok(successor);
        }
        tracing::info!("Connecting to {}", self.addresses());
        self.dialer.connect(&self.sturdy_ref).await
    }

    /// Returns the addresses of the scheduler, for people.
    fn addresses(&self) -> String {
        let addresses = self.dialer.addresses(&self.sturdy_ref);
        let texts: Vec<_> = addresses.map(ToString::to_string).collect();
        texts.join(", ")
    }
}

impl Uplink for Network {
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, NoConnection>> {
        async move {
            let session = self.session().await?;
            let registration = Registration::from_client(session.bootstrap());
            let peer = session.peer();
            let flushed = async move { peer.flushed().await };
            let (dialer, sturdy_ref) = (self.dialer.clone(), self.sturdy_ref.clone());
            let successor = Rc::clone(&self.successor);
            let lost = async move {
                let loss = dialer.lost(&sturdy_ref, &session).await;
                drop(session);
                successor.set(loss.successor);
                loss.error.extra
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
