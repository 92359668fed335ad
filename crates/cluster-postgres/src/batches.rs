//! What is saved together: once, and only by the process that has the lease.
//!
//! Each transaction begins with the function `begin_batch`: it checks the lease, and counts the batches of a stream one
//! by one. Two transactions cannot count the same one, and the second waits for the end of the first. So when the
//! connection is lost after COMMIT was sent, the same number is tried again: either that is refused, as the first one
//! was committed, or the first one can no longer be.

use std::time::{Duration, Instant};

use crate::link::{Link, Purpose};
use crate::session::Session;
use crate::settings::Settings;
use crate::{Error, Lease, OpenError};

/// How long a write waits for a database that went away before it fails: longer than a restart.
const RIDE_OUT: Duration = Duration::from_secs(10);

/// How long to wait before connecting again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Saves batches, one after the other.
pub struct Batches {
    link: Link,
    lease: Lease,
    stream: &'static str,
    /// The number of the latest batch that was saved.
    saved: i64,
    /// The batch after it may have been saved though its writer was told that it failed.
    is_in_doubt: bool,
}

/// What became of the batch that failed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was not saved, and cannot be any more. So it is of most batches.
    NotSaved,
    /// It was saved, though its writer was told that it failed: the answer was lost.
    Saved,
}

impl Batches {
    /// Connects, for a stream of batches under a lease. Two streams do not wait for each other.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when the database cannot be used, or the lease is taken.
    pub fn open(
        settings: &Settings,
        lease: Lease,
        stream: &'static str,
    ) -> Result<Self, OpenError> {
        let mut link = Link::open(settings, Purpose::Writing)?;
        let work = async |session: &Session| {
            let begin = "INSERT INTO batches (stream, lease, number) VALUES ($1, $2, 0)
                 ON CONFLICT (stream) DO UPDATE SET lease = excluded.lease, number = 0
                 WHERE batches.lease < excluded.lease";
            session.execute(begin, &[&stream, &lease.0]).await?;
            let latest = "SELECT number FROM batches WHERE stream = $1 AND lease = $2";
            let latest = session.first(latest, &[&stream, &lease.0]).await?;
            // Without a row, another process has the lease, and will be named when something is saved.
            let number = latest.map_or(Ok(0), |row| row.try_get("number"));
            number.map_err(|error| Error::Damaged(error.to_string()))
        };
        Ok(Self {
            saved: link.attempt(work, Error::is_away)?,
            link,
            lease,
            stream,
            is_in_doubt: false,
        })
    }

    /// Tells whether the batch that failed last may have been saved.
    pub fn is_in_doubt(&self) -> bool {
        self.is_in_doubt
    }

    /// Saves what `work` does, wholly or not at all, and once. It is on disk when this returns.
    ///
    /// `work` may be done several times, with other connections. A database that goes away has some seconds to return.
    ///
    /// # Errors
    ///
    /// What `work` returns; or the database is away, or has another lease.
    pub fn save<T, E: From<Error>>(
        &mut self,
        work: impl AsyncFn(&Session) -> Result<T, E>,
        known: impl Fn(&E) -> Option<&Error>,
    ) -> Result<T, E> {
        self.settle(&known)?;
        let is_away = |error: &E| known(error).is_some_and(Error::is_away);
        let was_away = self.link.is_away();
        let began = Instant::now();
        let mut done = None;
        loop {
            let result = self.attempt(&work, &mut done, &is_away);
            let error = match (result, done.take()) {
                (Ok(()), Some(value)) => {
                    self.saved += 1;
                    self.is_in_doubt = false;
                    return Ok(value);
                }
                (Err(error), Some(value)) if matches!(known(&error), Some(Error::Committed)) => {
                    self.saved += 1;
                    self.is_in_doubt = false;
                    return Ok(value);
                }
                (Err(error), value) => {
                    // Once COMMIT was sent, only an answer ends the doubt.
                    self.is_in_doubt = value.is_some();
                    done = value;
                    error
                }
                (Ok(()), None) => Error::Damaged("a batch without an end".to_owned()).into(),
            };
            if !is_away(&error) || was_away || began.elapsed() > RIDE_OUT {
                return Err(error);
            }
            self.link.wait(RETRY_AFTER);
        }
    }

    /// Finds out what became of the batch that failed last.
    ///
    /// # Errors
    ///
    /// The database is away, or has another lease.
    pub fn settle<E: From<Error>>(
        &mut self,
        known: impl Fn(&E) -> Option<&Error>,
    ) -> Result<Settled, E> {
        if !self.is_in_doubt {
            return Ok(Settled::NotSaved);
        }
        let is_away = |error: &E| known(error).is_some_and(Error::is_away);
        // An empty batch takes its number. If the answer to that is lost, it is as if the batch had been saved.
        let mut done = None;
        let result = self.attempt(&async |_: &Session| Ok(()), &mut done, &is_away);
        let settled = match result {
            Ok(()) => Settled::NotSaved,
            Err(error) if matches!(known(&error), Some(Error::Committed)) => Settled::Saved,
            Err(error) => return Err(error),
        };
        self.saved += 1;
        self.is_in_doubt = false;
        Ok(settled)
    }

    /// Tries once. `done` is what `work` returned, once COMMIT has been sent, and is kept from an earlier attempt.
    fn attempt<T, E: From<Error>>(
        &mut self,
        work: &impl AsyncFn(&Session) -> Result<T, E>,
        done: &mut Option<T>,
        is_away: &impl Fn(&E) -> bool,
    ) -> Result<(), E> {
        let begin = format!(
            "BEGIN; SELECT begin_batch('{}', {}, {})",
            self.stream,
            self.lease,
            self.saved + 1
        );
        let attempt = async |session: &Session| {
            let begun = session.run(&begin).await;
            let result = match begun {
                Err(error) => Err(error.into()),
                Ok(()) => {
                    // This one may be saved now, and so an earlier one was not.
                    *done = None;
                    work(session).await
                }
            };
            match result {
                Ok(value) => {
                    *done = Some(value);
                    tracing::trace!(target: "crash-point", point = "before-database-commit");
                    session.run("COMMIT").await?;
                    Ok(())
                }
                Err(error) => {
                    if !is_away(&error) {
                        session.run("ROLLBACK").await?;
                    }
                    Err(error)
                }
            }
        };
        self.link.attempt(attempt, is_away)
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// How long a large transaction may take, such as the copy of a whole history.
const LARGE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Does something large in one transaction, which sees the database as it is at its beginning. It is done once, and has
/// no place in any stream of batches.
///
/// # Errors
///
/// What `work` returns; or the database is away, or has another lease.
pub fn transact<T, E: From<Error> + From<OpenError>>(
    settings: &Settings,
    lease: Lease,
    work: impl AsyncFnOnce(&Session) -> Result<T, E>,
) -> Result<T, E> {
    let mut link = Link::open(settings, Purpose::Writing)?;
    link.set_attempt_limit(LARGE_LIMIT);
    let attempt = async |session: &Session| {
        // One statement may take long, and so may what is between two.
        let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
             BEGIN ISOLATION LEVEL REPEATABLE READ";
        session.run(begin).await?;
        // A process that takes the lease waits for the end.
        let lead = "SELECT number FROM leadership FOR SHARE";
        let lead = session.first(lead, &[]).await?;
        let number = lead.map(|row| row.try_get::<_, i64>("number")).transpose();
        if number.ok().flatten() != Some(lease.number()) {
            let text = "another process has taken the lease of the database".to_owned();
            return Err(Error::Fenced(text).into());
        }
        let value = work(session).await?;
        session.run("COMMIT").await?;
        Ok(value)
    };
    link.attempt(attempt, |_| false)
}
