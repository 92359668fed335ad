//! Calls that are made again when the connection was lost on the way.

use std::cell::Cell;
use std::time::Duration;

use cluster_api::{Answer, RpcError, RpcErrorKind};
use tokio::time::{Instant, timeout};
use vat::Session;

use super::DurableError;
use crate::cluster::Shared;

/// How long a connection may take to end whose scheduler is shutting down; then it is used again.
const CLOSE_DELAY: Duration = Duration::from_secs(1);

/// A connection over which a call waited for so long has worked: many calls wait for an event, some for hours.
const WORKED: Duration = Duration::from_secs(60);

/// For how long a call has been made again.
#[derive(Debug)]
pub(super) struct Repetition {
    /// When the first of the calls began that failed soon after one another.
    begun: Cell<Instant>,
    /// When the latest one began, or the wait for its connection.
    latest: Cell<Instant>,
}

impl Repetition {
    pub(super) fn new() -> Self {
        Self::starting(Instant::now())
    }

    fn starting(now: Instant) -> Self {
        Self {
            begun: Cell::new(now),
            latest: Cell::new(now),
        }
    }

    /// A call has lost its connection: returns whether calls have failed for longer than `limit`.
    fn failed(&self, now: Instant, limit: Duration) -> bool {
        if now - self.latest.get() > WORKED.min(limit) {
            self.begun.set(now);
        }
        now - self.begun.get() > limit
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
        if !is_lost || self.failed(Instant::now(), shared.options.reconnect_timeout) {
            return Err(error.into());
        }
        // A timeout means that it is still there.
        drop(timeout(CLOSE_DELAY, session.closed()).await);
        self.latest.set(Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(600);

    /// Tells after which of these times a call that fails is not made again.
    fn given_up(limit: Duration, seconds: impl IntoIterator<Item = u64>) -> Option<u64> {
        let start = Instant::now();
        let repetition = Repetition::starting(start);
        let mut seconds = seconds.into_iter();
        seconds.find(|after| {
            let now = start + Duration::from_secs(*after);
            let failed = repetition.failed(now, limit);
            repetition.latest.set(now);
            failed
        })
    }

    #[test]
    fn calls_that_fail_at_once_are_not_repeated_for_ever() {
        assert_eq!(given_up(LIMIT, (10..).step_by(10)), Some(610));
    }

    #[test]
    fn a_call_that_waited_for_long_is_repeated() {
        assert_eq!(given_up(LIMIT, [3600, 3610, 7200, 86_400]), None);
        assert_eq!(given_up(LIMIT, (3600..).step_by(10)), Some(4210));
        // Also by a program that does not wait for long itself.
        assert_eq!(given_up(Duration::from_secs(1), [5, 10]), None);
    }
}
