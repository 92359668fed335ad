//! The tables, and whose they are.

use crate::link::{Link, Purpose};
use crate::session::Session;
use crate::settings::Settings;
use crate::{Error, OpenError};

/// Tables that have a version of their own.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What they are for, in a word.
    pub name: &'static str,
    /// What brings them from each version to the next one.
    pub steps: &'static [&'static str],
}

/// The lease and the batches, for which every other part needs them.
const BASE: Part = Part {
    name: "base",
    steps: &["
    -- Which process may write: the one with the highest number.
    CREATE TABLE leadership (
        one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
        number BIGINT NOT NULL,
        holder TEXT NOT NULL,
        since TIMESTAMPTZ NOT NULL DEFAULT now(),
        expires TIMESTAMPTZ
    );
    INSERT INTO leadership (number, holder) VALUES (0, 'no process');

    -- The latest batch that was saved of each stream.
    CREATE TABLE batches (
        stream TEXT PRIMARY KEY,
        lease BIGINT NOT NULL,
        number BIGINT NOT NULL
    );

    -- Begins a batch, if the process has the lease and has not saved it yet.
    CREATE FUNCTION begin_batch(batch_stream TEXT, ours BIGINT, batch BIGINT) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        lead leadership%ROWTYPE;
        last BIGINT;
    BEGIN
        SELECT * INTO lead FROM leadership FOR SHARE;
        IF lead.number <> ours THEN
            RAISE EXCEPTION USING ERRCODE = 'OC001', MESSAGE = format(
                'another scheduler has taken over the database: %s, with lease %s after our lease %s',
                lead.holder, lead.number, ours);
        END IF;
        UPDATE batches SET number = batch WHERE stream = batch_stream AND lease = ours AND number = batch - 1;
        IF NOT FOUND THEN
            SELECT number INTO last FROM batches WHERE stream = batch_stream AND lease = ours;
            IF last = batch THEN
                RAISE EXCEPTION USING ERRCODE = 'OC002', MESSAGE = 'this batch was saved before';
            END IF;
            RAISE EXCEPTION USING ERRCODE = 'OC003', MESSAGE = format(
                'batch %s of %s does not follow batch %s', batch, batch_stream, last);
        END IF;
    END $$;
    ", "
    -- What renewals change is not what each write reads: neither waits for the other.
    ALTER TABLE leadership DROP COLUMN expires;

    -- The schedulers of the cluster, as each has noted when it looked at the lease.
    CREATE TABLE schedulers (
        id BIGINT PRIMARY KEY,
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        pages TEXT NOT NULL,
        key TEXT NOT NULL,
        looked TIMESTAMPTZ NOT NULL DEFAULT now(),
        reaches_leader BOOLEAN NOT NULL DEFAULT true
    );

    -- The latest lease. Without a holder, it was given up; left_by did so for others to lead, and waits for a while.
    CREATE TABLE lease (
        one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
        number BIGINT NOT NULL,
        holder BIGINT,
        renewals BIGINT NOT NULL DEFAULT 0,
        expires TIMESTAMPTZ NOT NULL,
        changed TIMESTAMPTZ NOT NULL DEFAULT now(),
        taken_by BIGINT,
        left_by BIGINT,
        key TEXT NOT NULL DEFAULT ''
    );
    INSERT INTO lease (number, expires) SELECT number, now() FROM leadership;

    -- Takes the lease if it is still as it was seen, and returns its number; nothing if it is not.
    CREATE FUNCTION take_lease(seen_number BIGINT, seen_renewals BIGINT, ours BIGINT, life INTERVAL)
    RETURNS BIGINT LANGUAGE plpgsql AS $$
    DECLARE
        me schedulers%ROWTYPE;
        taken BIGINT;
    BEGIN
        PERFORM set_config('synchronous_commit', 'on', true);
        SELECT * INTO STRICT me FROM schedulers WHERE id = ours;
        PERFORM FROM lease WHERE number = seen_number AND renewals = seen_renewals FOR UPDATE;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        -- It waits for the transactions that are under way.
        UPDATE leadership SET number = number + 1, holder = me.name, since = now() RETURNING number INTO taken;
        UPDATE lease SET number = taken, holder = ours, renewals = 0, expires = clock_timestamp() + life,
            changed = now(), taken_by = ours, left_by = NULL, key = me.key;
        DELETE FROM schedulers WHERE looked < now() - interval '1 day' AND id <> ours;
        RETURN taken;
    END $$;
    "],
};

/// Makes the tables of some parts, or brings them up to date. What is not ours, or newer than this program, is left
/// alone.
///
/// # Errors
///
/// [`OpenError`] when the database cannot be used.
pub fn prepare(settings: &Settings, parts: &[Part]) -> Result<(), OpenError> {
    let mut link = Link::open(settings, Purpose::Writing)?;
    let parts: Vec<Part> = std::iter::once(BASE).chain(parts.iter().copied()).collect();
    let work = async |session: &Session| {
        let prepared = in_transaction(session, settings, &parts).await;
        let end = if prepared.is_ok() {
            "COMMIT"
        } else {
            "ROLLBACK"
        };
        let ended = session.client.batch_execute(end).await;
        prepared?;
        ended.map_err(|error| OpenError::of(&session.database, &error))
    };
    link.attempt(
        work,
        |error| matches!(error, OpenError::Database(error) if error.is_away()),
    )
}

async fn in_transaction(
    session: &Session,
    settings: &Settings,
    parts: &[Part],
) -> Result<(), OpenError> {
    let client = &session.client;
    let database = settings.to_string();
    let failed = |error: tokio_postgres::Error| OpenError::of(&database, &error);
    // Two processes that start at once prepare one after the other. The number is ours: "OCJB".
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(1329809986)";
    client.batch_execute(lock).await.map_err(failed)?;
    make_schema(session, &database).await?;
    let mut found = Vec::new();
    for part in parts {
        let version = session
            .first(
                "SELECT version FROM versions WHERE part = $1",
                &[&part.name],
            )
            .await?;
        let version = version
            .map(|row| row.try_get::<_, i64>(0))
            .transpose()
            .map_err(failed)?;
        let (version, known) = (version.unwrap_or(0), part.known());
        if version > known {
            let (part, found) = (part.name, version);
            return Err(OpenError::Newer {
                database,
                part,
                found,
                known,
            });
        }
        found.push(version);
    }
    for (part, version) in parts.iter().zip(found) {
        for step in part
            .steps
            .iter()
            .skip(usize::try_from(version).unwrap_or(0))
        {
            client.batch_execute(step).await.map_err(failed)?;
        }
        if version < part.known() {
            let save = "INSERT INTO versions (part, version) VALUES ($1, $2)
                 ON CONFLICT (part) DO UPDATE SET version = excluded.version";
            session.execute(save, &[&part.name, &part.known()]).await?;
        }
    }
    Ok(())
}

/// Makes our schema, if the database is empty.
async fn make_schema(session: &Session, database: &str) -> Result<(), OpenError> {
    let database = database.to_owned();
    let encoding: String = scalar(session, "SHOW server_encoding").await?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { database, encoding });
    }
    let exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ocluster')";
    if scalar::<bool>(session, exists).await? {
        let ours = "SELECT to_regclass('ocluster.versions') IS NOT NULL";
        if !scalar::<bool>(session, ours).await? {
            let found = "a schema \"ocluster\" without a table \"versions\"".to_owned();
            return Err(OpenError::Foreign { database, found });
        }
    } else {
        let other = "SELECT coalesce((SELECT schemaname || '.' || tablename FROM pg_tables
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1 LIMIT 1), '')";
        let other: String = scalar(session, other).await?;
        if !other.is_empty() {
            let found = format!("a table \"{}\"", visible::Shown(&other));
            return Err(OpenError::Foreign { database, found });
        }
        let make = "CREATE SCHEMA ocluster;
            CREATE TABLE ocluster.versions (part TEXT PRIMARY KEY, version BIGINT NOT NULL)";
        let made = session.client.batch_execute(make).await;
        made.map_err(|error| OpenError::of(&database, &error))?;
    }
    Ok(())
}

impl Part {
    fn known(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }
}

async fn scalar<T: for<'a> tokio_postgres::types::FromSql<'a>>(
    session: &Session,
    sql: &str,
) -> Result<T, OpenError> {
    let failed = |error: tokio_postgres::Error| OpenError::of(&session.database, &error);
    let row = session.client.query_one(sql, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// Tells whether the database has no tables of a cluster yet.
///
/// # Errors
///
/// [`OpenError`] when the database cannot be used.
pub fn is_empty(settings: &Settings) -> Result<bool, OpenError> {
    let mut link = Link::open(settings, Purpose::Reading)?;
    let work = async |session: &Session| {
        let exists = "SELECT NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'ocluster')";
        scalar::<bool>(session, exists).await
    };
    link.attempt(work, |error| {
        matches!(error, OpenError::Database(Error::Unreachable { .. }))
    })
}
