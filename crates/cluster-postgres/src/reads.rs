//! Reads what is committed.

use crate::link::{Link, Purpose};
use crate::session::Session;
use crate::settings::Settings;
use crate::{Error, OpenError};

/// Reads what is committed, also after the database was away.
pub struct Reads(Link);

impl Reads {
    /// Connects for the first time.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the database cannot be used.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Link::open(settings, Purpose::Reading).map(Self)
    }

    /// Reads something, with a new connection if the old one was lost.
    ///
    /// # Errors
    ///
    /// What `read` returns, or that the database cannot be reached.
    pub fn read<T, E: From<Error>>(
        &mut self,
        read: impl AsyncFn(&Session) -> Result<T, E>,
        is_away: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let was_away = self.0.is_away();
        match self.0.attempt(&read, &is_away) {
            // The connection may be one of before a restart of the database.
            Err(error) if is_away(&error) && !was_away => self.0.attempt(&read, &is_away),
            result => result,
        }
    }
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reads")
    }
}
