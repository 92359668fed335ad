//! Reads what is committed.

use std::time::{Duration, Instant};

use crate::link::{Link, Purpose};
use crate::session::Session;
use crate::settings::Settings;
use crate::{Error, OpenError};

/// How long a read waits for a database that went away before it fails: as a write does, longer than a restart.
const RIDE_OUT: Duration = Duration::from_secs(10);

/// How long to wait before connecting again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Reads what is committed, also after the database was away.
pub struct Reads {
    link: Link,
    /// Since when the database is away.
    away_since: Option<Instant>,
}

impl Reads {
    /// Connects for the first time.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the database cannot be used.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Link::open(settings, Purpose::Reading).map(|link| Self {
            link,
            away_since: None,
        })
    }

    /// Reads something, with a new connection if the old one was lost. A database that goes away has some seconds to
    /// return.
    ///
    /// # Errors
    ///
    /// What `read` returns, or that the database cannot be reached.
    pub fn read<T, E: From<Error>>(
        &mut self,
        read: impl AsyncFn(&Session) -> Result<T, E>,
        is_away: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        loop {
            let result = self.link.attempt(&read, &is_away);
            if !result.as_ref().is_err_and(&is_away) {
                self.away_since = None;
                return result;
            }
            let since = *self.away_since.get_or_insert_with(Instant::now);
            if since.elapsed() > RIDE_OUT {
                return result;
            }
            self.link.wait(RETRY_AFTER);
        }
    }
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reads")
    }
}
