//! Connects, and connects again.

use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use crate::session::Session;
use crate::settings::Settings;
use crate::{Error, OpenError, tls};

/// How long an attempt may take, whatever it does: a database that does not answer is away.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(60);

/// What each connection begins with. Other processes must not wait for long when this one is stopped in the middle of
/// a transaction.
const BEGINNING: &str = "
    SET search_path = ocluster, pg_catalog;
    SET default_transaction_isolation = 'read committed';
    SET client_min_messages = warning;
    SET idle_in_transaction_session_timeout = '2s';
    SET lock_timeout = '10s';
    SET statement_timeout = '50s';
    SET tcp_keepalives_idle = 5;
    SET tcp_keepalives_interval = 2;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '10s'";

/// What one about the lease adds: a renewal that the disk forgets when the server crashes does no harm, and an answer
/// that comes late is of no use.
const LEADING: &str = "
    SET synchronous_commit = off;
    SET lock_timeout = '2s';
    SET statement_timeout = '2s'";

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read. The database refuses changes.
    Reading,
    /// To write. What is committed is on disk.
    Writing,
    /// To look at the lease and to renew it, often and soon. It does not wait for the disk.
    Leading,
}

/// How long a connection may take to be made and set up.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A connection that is made again when it was lost.
pub(crate) struct Link {
    settings: Settings,
    purpose: Purpose,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    session: Option<Session>,
    /// Since when the database is away.
    away_since: Option<Instant>,
    attempt_limit: Duration,
}

impl Link {
    /// Connects for the first time.
    pub(crate) fn open(settings: &Settings, purpose: Purpose) -> Result<Self, OpenError> {
        let mut link = Self::idle(settings, purpose)?;
        if let Some(runtime) = &link.runtime {
            link.session = Some(runtime.block_on(connect(settings, purpose))?);
        }
        Ok(link)
    }

    /// Returns a link that connects when it is used.
    pub(crate) fn idle(settings: &Settings, purpose: Purpose) -> Result<Self, OpenError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            settings: settings.clone(),
            purpose,
            runtime: Some(runtime.map_err(OpenError::System)?),
            session: None,
            away_since: None,
            attempt_limit: ATTEMPT_LIMIT,
        })
    }

    /// Sets how long an attempt may take.
    pub(crate) fn set_attempt_limit(&mut self, limit: Duration) {
        self.attempt_limit = limit;
    }

    /// Tells whether the last attempt found the database away.
    pub(crate) fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// Waits, while the connection is served.
    pub(crate) fn wait(&self, time: Duration) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(async { tokio::time::sleep(time).await });
        }
    }

    /// Does something with a connection, which is made if there is none. It is closed after an error of it.
    pub(crate) fn attempt<T, E: From<Error>>(
        &mut self,
        work: impl AsyncFnOnce(&Session) -> Result<T, E>,
        is_away: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let (settings, purpose) = (&self.settings, self.purpose);
        let attempt_limit = self.attempt_limit;
        let unreachable = |cause: &str| Error::Unreachable {
            database: settings.to_string(),
            cause: cause.to_owned(),
        };
        let Some(runtime) = &self.runtime else {
            return Err(unreachable("the program ends").into());
        };
        let session = match self.session.take() {
            Some(session) if !session.client.is_closed() => Ok(session),
            _ => {
                let connecting = async {
                    let limit = CONNECT_LIMIT.min(attempt_limit);
                    let connected = tokio::time::timeout(limit, connect(settings, purpose)).await;
                    connected
                        .unwrap_or_else(|_| Err(unreachable("it did not answer in time").into()))
                };
                runtime.block_on(connecting).map_err(|error| match error {
                    OpenError::Database(error) => error,
                    other => unreachable(&other.to_string()),
                })
            }
        };
        let result = match session {
            Err(error) => Err(error.into()),
            Ok(session) => {
                let done = runtime
                    .block_on(async { tokio::time::timeout(attempt_limit, work(&session)).await });
                match done {
                    Ok(result) => {
                        self.session = Some(session);
                        result
                    }
                    Err(_) => Err(unreachable("it did not answer in time").into()),
                }
            }
        };
        if result.as_ref().is_err_and(is_away) {
            self.session = None;
            self.note_loss();
        } else {
            self.note_return();
        }
        result
    }

    fn note_loss(&mut self) {
        if self.away_since.is_none() {
            self.away_since = Some(Instant::now());
            if self.purpose != Purpose::Reading {
                tracing::warn!(target: "scheduler", "Lost the database {}; connecting again", self.settings);
            }
        }
    }

    fn note_return(&mut self) {
        if let Some(since) = self.away_since.take()
            && self.purpose != Purpose::Reading
        {
            let away = since.elapsed().as_secs_f64();
            tracing::info!(target: "scheduler", "The database {} is back after {away:.1} s", self.settings);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Closes the connection. Waiting for a runtime is not allowed on threads of another one.
        self.session = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connect(settings: &Settings, purpose: Purpose) -> Result<Session, OpenError> {
    let database = settings.to_string();
    let away = |cause: &str| Error::Unreachable {
        database: database.clone(),
        cause: cause.to_owned(),
    };
    // The time limit of the library is for the connection of the network alone.
    let connected = tokio::time::timeout(CONNECT_LIMIT, async {
        let client = client(settings).await?;
        begin(&client, purpose)
            .await
            .map_err(|error| OpenError::of(&database, &error))?;
        Ok::<_, OpenError>(client)
    });
    let client = connected
        .await
        .map_err(|_| away("it did not answer in time"))??;
    Ok(Session::new(client, database))
}

async fn client(settings: &Settings) -> Result<Client, OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(&settings.to_string(), &error);
    // The task serves the connection until it ends. What it ends with, each statement is answered with.
    let client = match &settings.tls {
        None => {
            let (client, connection) = settings.config.connect(NoTls).await.map_err(failed)?;
            tokio::spawn(async move { drop(connection.await) });
            client
        }
        Some(authorities) => {
            let connector = tls::connector(authorities)?;
            let (client, connection) = settings.config.connect(connector).await.map_err(failed)?;
            tokio::spawn(async move { drop(connection.await) });
            client
        }
    };
    Ok(client)
}

async fn begin(client: &Client, purpose: Purpose) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(BEGINNING).await?;
    match purpose {
        Purpose::Reading => {
            client
                .batch_execute("SET default_transaction_read_only = on")
                .await
        }
        Purpose::Writing => {
            // What peers are told is on disk. A setting that waits for a standby, too, is left as it is.
            let row = client.query_one("SHOW synchronous_commit", &[]).await?;
            let found: String = row.try_get(0)?;
            if !matches!(found.as_str(), "on" | "remote_apply") {
                client.batch_execute("SET synchronous_commit = on").await?;
            }
            Ok(())
        }
        Purpose::Leading => client.batch_execute(LEADING).await,
    }
}
