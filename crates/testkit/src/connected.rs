//! One connection to a service.

use capnp::capability::Client;
use vat::{ConnectError, DialOptions, Dialer, Session, SturdyRef};

/// A connection, and the service at its other end.
///
/// The connection is closed when this and everything received over it are dropped.
pub struct Connected {
    /// The service.
    pub client: Client,
    /// The connection.
    pub session: Session,
}

impl Connected {
    /// Connects to a service, as a vat with a key of its own.
    ///
    /// # Errors
    /// When there is no such service, or the connection fails.
    pub async fn to(cap: &SturdyRef) -> Result<Self, ConnectError> {
        let session = Dialer::new(DialOptions::default()).connect(cap).await?;
        Ok(Self {
            client: session.bootstrap(),
            session,
        })
    }
}
