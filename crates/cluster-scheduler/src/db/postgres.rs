//! Upstream's tables in PostgreSQL. They are read once, as the file is, and written by the same thread.

use cluster_postgres::{
    Batches, Error, Lease, OpenError as DatabaseError, Part, Reads, Row, Session, Settings,
    Statement, ToSql, Value, text,
};

use super::tables::{Save, Tables};
use super::{
    CLIENT_TYPE, CachedRow, Change, OpenError, PauseRow, PutClient, RateRow, Saved, SturdyRefRow,
    UnixTime, WorkerRow, Writer,
};

/// After how many days without use a hint is dropped, as from the file.
const HINTS_EXPIRE_AFTER_DAYS: i32 = 180;

/// The tables, for [`cluster_postgres::prepare`].
pub const TABLES: Part = Part {
    name: "scheduler",
    steps: &["
    -- digest: the SHA-256 of the hint, which may be too long for an index.
    CREATE TABLE cached (
        pool TEXT NOT NULL,
        cache_hint TEXT NOT NULL,
        digest BYTEA NOT NULL GENERATED ALWAYS AS (sha256(decode(replace(cache_hint, '\\', '\\\\'), 'escape'))) STORED,
        worker TEXT NOT NULL,
        created DATE NOT NULL,
        PRIMARY KEY (pool, digest, worker)
    );
    CREATE TABLE pool_user_rate (
        pool TEXT NOT NULL,
        \"user\" TEXT NOT NULL,
        rate DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (pool, \"user\")
    );
    CREATE TABLE workers (
        pool TEXT NOT NULL,
        id TEXT NOT NULL,
        paused BOOLEAN NOT NULL DEFAULT false,
        PRIMARY KEY (pool, id)
    );
    CREATE TABLE sturdy_refs (
        hash BYTEA PRIMARY KEY,
        type TEXT NOT NULL,
        args BYTEA NOT NULL,
        created DATE NOT NULL
    );
    CREATE INDEX sturdy_refs_rev ON sturdy_refs (type, args);
    CREATE TABLE pauses (
        pool TEXT NOT NULL,
        id TEXT NOT NULL,
        since BIGINT NOT NULL,
        paused_by TEXT NOT NULL,
        note TEXT NOT NULL,
        PRIMARY KEY (pool, id)
    );
    "],
};

/// Reads everything from a database whose [tables](TABLES) are prepared, and starts the thread that writes.
///
/// # Errors
///
/// [`OpenError`] says why the database cannot be used.
pub fn open(
    settings: &Settings,
    lease: Lease,
    now: UnixTime,
) -> Result<(Writer, Saved), OpenError> {
    let mut batches = Batches::open(settings, lease, "scheduler")?;
    let expire = async |session: &Session| {
        let expired = "DELETE FROM cached
             WHERE created < (to_timestamp($1::bigint) AT TIME ZONE 'UTC')::date - $2::integer";
        session
            .execute(expired, &[&now.0, &HINTS_EXPIRE_AFTER_DAYS])
            .await
    };
    let dropped = batches.save(expire, itself).map_err(DatabaseError::from)?;
    if dropped > 0 {
        tracing::info!(
            target: "scheduler",
            "Dropped {dropped} cache hints that were unused for {HINTS_EXPIRE_AFTER_DAYS} days"
        );
    }
    let saved = Reads::open(settings)?
        .read(load, Error::is_away)
        .map_err(DatabaseError::from)?;
    let writer = Writer::start(Box::new(DatabaseTables(batches))).map_err(OpenError::Thread)?;
    Ok((writer, saved))
}

/// All errors here are of the database.
fn itself(error: &Error) -> Option<&Error> {
    Some(error)
}

async fn load(session: &Session) -> Result<Saved, Error> {
    let cached = "SELECT pool, cache_hint, worker FROM cached WHERE cache_hint <> ''";
    let workers = "SELECT pool, id, paused FROM workers";
    let rates = "SELECT pool, \"user\", rate FROM pool_user_rate";
    let sturdy_refs = "SELECT hash, type, args FROM sturdy_refs";
    let pauses = "SELECT pool, id, since, paused_by, note FROM pauses";
    let mut saved = Saved {
        cached: rows(session.query(cached, &[]).await?, |row| {
            Ok(Some(CachedRow {
                pool: string(row, 0)?,
                hint: string(row, 1)?,
                worker: string(row, 2)?,
            }))
        })?,
        workers: rows(session.query(workers, &[]).await?, |row| {
            Ok(Some(WorkerRow {
                pool: string(row, 0)?,
                worker: string(row, 1)?,
                paused: row.try_get(2)?,
            }))
        })?,
        rates: rows(session.query(rates, &[]).await?, |row| {
            Ok(Some(RateRow {
                pool: string(row, 0)?,
                client: string(row, 1)?,
                rate: row.try_get(2)?,
            }))
        })?,
        sturdy_refs: rows(session.query(sturdy_refs, &[]).await?, sturdy_ref)?,
        pauses: rows(session.query(pauses, &[]).await?, |row| {
            Ok(Some(PauseRow {
                pool: string(row, 0)?,
                worker: string(row, 1)?,
                since: UnixTime(row.try_get(2)?),
                by: string(row, 3)?,
                note: string(row, 4)?,
            }))
        })?,
    };
    // As from the file, whatever the order of texts in the database is.
    saved.cached.sort_unstable();
    saved.workers.sort_unstable();
    saved
        .rates
        .sort_unstable_by(|a, b| (&a.pool, &a.client).cmp(&(&b.pool, &b.client)));
    saved
        .sturdy_refs
        .sort_unstable_by(|a, b| a.args.cmp(&b.args));
    saved
        .pauses
        .sort_unstable_by(|a, b| (&a.pool, &a.worker).cmp(&(&b.pool, &b.worker)));
    Ok(saved)
}

fn sturdy_ref(row: &Row) -> Result<Option<SturdyRefRow>, cluster_postgres::RowError> {
    let (hash, args): (Vec<u8>, Vec<u8>) = (row.try_get(0)?, row.try_get(2)?);
    let (Ok(digest), Ok(args)) = (hash.try_into(), String::from_utf8(args)) else {
        tracing::warn!(
            target: "scheduler",
            "Ignoring a sturdy ref in the database: its hash is not 32 bytes, or its client's name not text"
        );
        return Ok(None);
    };
    Ok(Some(SturdyRefRow {
        digest,
        kind: string(row, 1)?,
        args,
    }))
}

fn rows<T>(
    rows: Vec<Row>,
    read: impl Fn(&Row) -> Result<Option<T>, cluster_postgres::RowError>,
) -> Result<Vec<T>, Error> {
    let found = rows.iter().filter_map(|row| read(row).transpose());
    found
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Damaged(error.to_string()))
}

fn string(row: &Row, column: usize) -> Result<String, cluster_postgres::RowError> {
    row.try_get(column).map(text::decode)
}

/// The tables in PostgreSQL.
struct DatabaseTables(Batches);

impl Tables for DatabaseTables {
    fn save(&mut self, saves: &[(Save<'_>, UnixTime)]) -> Result<(), String> {
        let work = async |session: &Session| {
            let mut statements = Vec::with_capacity(saves.len());
            for (save, now) in saves {
                match save {
                    Save::Change(change) => change_statements(&mut statements, change, *now),
                    Save::PutClient(client) => put_client(&mut statements, client, *now),
                }
            }
            session.run_all(&statements).await.map(drop)
        };
        self.0.save(work, itself).map_err(|error| error.to_string())
    }
}

fn put_client(statements: &mut Vec<Statement>, client: &PutClient, now: UnixTime) {
    let PutClient { client, digest } = client;
    statements.push(remove_client(client));
    statements.push(statement(
        "INSERT INTO sturdy_refs (hash, type, args, created)
         VALUES ($1, $2, $3, (to_timestamp($4::bigint) AT TIME ZONE 'UTC')::date)",
        vec![
            value(digest.to_vec()),
            value(CLIENT_TYPE),
            value(client.as_bytes().to_vec()),
            value(now.0),
        ],
    ));
}

fn remove_client(client: &str) -> Statement {
    statement(
        "DELETE FROM sturdy_refs WHERE type = $1 AND args = $2",
        vec![value(CLIENT_TYPE), value(client.as_bytes().to_vec())],
    )
}

fn change_statements(statements: &mut Vec<Statement>, change: &Change, now: UnixTime) {
    match change {
        Change::Cached(CachedRow { pool, hint, worker }) => statements.push(statement(
            "INSERT INTO cached (pool, cache_hint, worker, created)
             VALUES ($1, $2, $3, (to_timestamp($4::bigint) AT TIME ZONE 'UTC')::date)
             ON CONFLICT (pool, digest, worker) DO UPDATE SET created = excluded.created
             WHERE cached.created <> excluded.created",
            vec![words(pool), words(hint), words(worker), value(now.0)],
        )),
        Change::Uncached(CachedRow { pool, hint, worker }) => statements.push(statement(
            "DELETE FROM cached WHERE pool = $1 AND cache_hint = $2 AND worker = $3",
            vec![words(pool), words(hint), words(worker)],
        )),
        Change::Worker(WorkerRow { pool, worker, paused }) => {
            if !paused {
                statements.push(of_worker("DELETE FROM pauses WHERE pool = $1 AND id = $2", pool, worker));
            }
            statements.push(statement(
                "INSERT INTO workers (pool, id, paused) VALUES ($1, $2, $3)
                 ON CONFLICT (pool, id) DO UPDATE SET paused = excluded.paused",
                vec![words(pool), words(worker), value(*paused)],
            ));
        }
        Change::Pause(PauseRow { pool, worker, since, by, note }) => statements.push(statement(
            "INSERT INTO pauses (pool, id, since, paused_by, note) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (pool, id) DO UPDATE SET since = excluded.since, paused_by = excluded.paused_by,
                 note = excluded.note",
            vec![words(pool), words(worker), value(since.0), words(by), words(note)],
        )),
        Change::Rate(RateRow { pool, client, rate }) => statements.push(statement(
            "INSERT INTO pool_user_rate (pool, \"user\", rate) VALUES ($1, $2, $3)
             ON CONFLICT (pool, \"user\") DO UPDATE SET rate = excluded.rate",
            vec![words(pool), words(client), value(*rate)],
        )),
        Change::ForgetWorker { pool, worker } => {
            statements.push(of_worker("DELETE FROM workers WHERE pool = $1 AND id = $2", pool, worker));
            statements.push(of_worker("DELETE FROM pauses WHERE pool = $1 AND id = $2", pool, worker));
            statements.push(of_worker("DELETE FROM cached WHERE pool = $1 AND worker = $2", pool, worker));
        }
        Change::RemoveClient { client } => {
            statements.push(remove_client(client));
            statements.push(statement(
                "DELETE FROM pool_user_rate WHERE \"user\" = $1",
                vec![words(client)],
            ));
        }
    }
}

fn of_worker(sql: &'static str, pool: &str, worker: &str) -> Statement {
    statement(sql, vec![words(pool), words(worker)])
}

fn statement(sql: &'static str, values: Vec<Value>) -> Statement {
    Statement::new(sql, values)
}

fn value(value: impl ToSql + Sync + Send + 'static) -> Value {
    Box::new(value)
}

fn words(words: &str) -> Value {
    value(text::encode(words).into_owned())
}
