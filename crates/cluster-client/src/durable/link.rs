//! Calls that are made again when the connection was lost on the way.

use std::time::Duration;

use cluster_api::{Answer, RpcError, RpcErrorKind};
use tokio::time::{Instant, timeout};
use vat::Session;

use super::DurableError;
use crate::cluster::Shared;

/// How long a connection may take to end whose scheduler is shutting down; then it is used again.
const CLOSE_DELAY: Duration = Duration::from_secs(1);

/// For how long a call has been made again.
#[derive(Debug)]
pub(super) struct Repetition {
    begun: Instant,
}

impl Repetition {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    /// A call over this connection has failed with an error: waits until the next one makes sense.
    ///
    /// # Errors
    /// The error, if the call failed for another reason than a lost connection, or this has been tried for too long.
    pub(super) async fn after(
        &self,
        error: RpcError,
        session: &Session,
        shared: &Shared,
    ) -> Result<(), DurableError> {
        let is_lost = error.kind == RpcErrorKind::Disconnected;
        if !is_lost || self.begun.elapsed() > shared.options.reconnect_timeout {
            return Err(error.into());
        }
        // A timeout means that it is still there.
        drop(timeout(CLOSE_DELAY, session.closed()).await);
        Ok(())
    }
}

impl Shared {
    /// Waits until there is a connection.
    pub(super) async fn session(&self) -> Result<Session, DurableError> {
        let session = self.connection.session(self.options.reconnect_timeout);
        session.await.map_err(DurableError::NoConnection)
    }

    /// Makes a call on what the sturdy ref names, again if the connection is lost. It must be one that may be repeated.
    pub(super) async fn call<T: 'static>(
        &self,
        call: impl Fn(&Session) -> Answer<T>,
    ) -> Result<(Session, T), DurableError> {
        let repetition = Repetition::new();
        loop {
            let session = self.session().await?;
            match call(&session).await {
                Ok(answer) => return Ok((session, answer)),
                Err(error) => repetition.after(error, &session, self).await?,
            }
        }
    }
}
