//! Who may write.

use std::fmt;

use crate::link::{Link, Purpose};
use crate::settings::Settings;
use crate::{Error, OpenError, Session};

/// The right to write to the database, until another process takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease(pub(crate) i64);

impl Lease {
    /// Takes the lease from the process that has it: from now on, the database refuses what that one writes, and tells
    /// it the name `holder`. It is not renewed: a scheduler that waits for it takes it at once. For what writes once;
    /// schedulers have a [`Candidate`](crate::Candidate).
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the database cannot be used.
    pub fn take(settings: &Settings, holder: &str) -> Result<Self, OpenError> {
        let mut link = Link::open(settings, Purpose::Writing)?;
        let holder = crate::text::encode(holder).into_owned();
        let work = async |session: &Session| {
            session.run("BEGIN").await?;
            // It waits for the transactions that are under way.
            let before = session
                .first("SELECT number, holder FROM leadership FOR UPDATE", &[])
                .await?;
            let before =
                before.ok_or_else(|| Error::Damaged("the table leadership is empty".to_owned()))?;
            let damaged = |error: tokio_postgres::Error| Error::Damaged(error.to_string());
            let number = before.try_get::<_, i64>("number").map_err(damaged)? + 1;
            let former: String = before.try_get("holder").map_err(damaged)?;
            let update = "UPDATE leadership SET number = $1, holder = $2, since = now()";
            session.execute(update, &[&number, &holder]).await?;
            // Any scheduler may take it next.
            let free = "UPDATE lease SET number = $1, holder = NULL, renewals = 0, expires = now(), changed = now(),
                 taken_by = NULL, left_by = NULL";
            session.execute(free, &[&number]).await?;
            session.run("COMMIT").await?;
            Ok((Self(number), crate::text::decode(former)))
        };
        let (lease, former) = link.attempt(work, Error::is_away)?;
        tracing::info!(
            target: "scheduler",
            "Took lease {lease} of the database {settings}; {former} had the one before"
        );
        Ok(lease)
    }

    /// Returns its number, which is higher than those of all leases before.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
