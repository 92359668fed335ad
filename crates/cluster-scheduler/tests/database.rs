//! The database: upstream's file opens and keeps its meaning, damaged and foreign files are refused
//! untouched, and what cannot be written is reported or tried again.

use std::path::{Path, PathBuf};

use cluster_scheduler::db::{
    self, CLIENT_TYPE, CachedRow, Change, OpenError, PutClient, RateRow, Saved, UnixTime, WorkerRow,
};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

/// 23 November 2026, the day on which the vector was written.
const VECTOR_DAY: UnixTime = UnixTime(1_795_392_000);
const DAY: i64 = 24 * 60 * 60;

fn directory_with_vector() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scheduler.db");
    std::fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/scheduler.db"),
        &path,
    )
    .unwrap();
    (directory, path)
}

fn cached(pool: &str, hint: &str, worker: &str) -> CachedRow {
    CachedRow {
        pool: pool.into(),
        hint: hint.into(),
        worker: worker.into(),
    }
}

fn worker(pool: &str, worker: &str, paused: bool) -> WorkerRow {
    WorkerRow {
        pool: pool.into(),
        worker: worker.into(),
        paused,
    }
}

fn rate(pool: &str, client: &str, rate: f64) -> RateRow {
    RateRow {
        pool: pool.into(),
        client: client.into(),
        rate,
    }
}

fn reopen(path: &Path) -> Saved {
    db::open(path, VECTOR_DAY).unwrap().1
}

/// Reads a table as upstream would see it: the values with their storage classes.
fn rows(path: &Path, query: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| {
            (0..columns).map(|column| row.get(column)).collect()
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn reads_upstreams_file() {
    let (_directory, path) = directory_with_vector();
    let saved = reopen(&path);

    let clients: Vec<_> = saved
        .sturdy_refs
        .iter()
        .map(|r| (r.kind.as_str(), r.args.as_str(), r.digest[0]))
        .collect();
    assert_eq!(
        clients,
        [(CLIENT_TYPE, "alice", 0x60), (CLIENT_TYPE, "bob", 0xf8)]
    );
    assert_eq!(
        saved.rates,
        [
            rate("a", "alice", 2.5),
            rate("a", "bob", 1.0),
            rate("b", "alice", 4.0)
        ]
    );
    assert_eq!(
        saved.workers,
        [
            worker("a", "w-paused", true),
            worker("a", "w1", false),
            worker("a", "w3", false),
            worker("b", "w2", true),
            worker("b", "w4", false),
        ]
    );
    assert_eq!(
        saved.cached,
        [
            cached("a", "hint-1", "w1"),
            cached("a", "hint-1", "w3"),
            cached("a", "hint-2", "w1"),
            cached("b", "hint-1", "w4"),
        ],
        "the row of the empty hint is of no use"
    );
}

#[tokio::test]
async fn writes_what_upstream_can_read() {
    let (_directory, path) = directory_with_vector();
    let (writer, _) = db::open(&path, VECTOR_DAY).unwrap();
    writer.save(Change::Cached(cached("a", "hint-9", "w9")), VECTOR_DAY);
    let carol = PutClient {
        client: "carol".into(),
        digest: [7; 32],
    };
    writer.put_client(carol, VECTOR_DAY).await.unwrap();
    for change in [
        Change::RemoveClient {
            client: "alice".into(),
        },
        Change::Rate(rate("a", "carol", 3.0)),
        Change::Worker(worker("a", "w1", true)),
        Change::Worker(worker("a", "new", true)),
        Change::Worker(worker("b", "w2", false)),
        Change::ForgetWorker {
            pool: "a".into(),
            worker: "w3".into(),
        },
    ] {
        writer.save_acked(change, VECTOR_DAY).await.unwrap();
    }
    drop(writer);

    check_clients(&path);
    check_workers(&path);
    assert_eq!(rows(&path, "PRAGMA user_version"), [[Value::Integer(0)]]);
    assert_eq!(rows(&path, "PRAGMA journal_mode"), [[text("wal")]]);
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn check_clients(path: &Path) {
    let refs = rows(
        path,
        "SELECT hash, type, args, created FROM sturdy_refs ORDER BY args DESC",
    );
    assert_eq!(
        refs[0],
        [
            Value::Blob(vec![7; 32]),
            text("ocluster-client"),
            Value::Blob(b"carol".to_vec()),
            text("2026-11-23"),
        ]
    );
    assert_eq!(refs.len(), 2, "bob, and no alice");
    assert_eq!(
        rows(path, "SELECT * FROM pool_user_rate ORDER BY pool, user"),
        [
            [text("a"), text("bob"), Value::Real(1.0)],
            [text("a"), text("carol"), Value::Real(3.0)],
        ],
        "alice's rates are removed from all pools"
    );
}

fn check_workers(path: &Path) {
    assert_eq!(
        rows(path, "SELECT * FROM workers ORDER BY pool, id"),
        [
            [text("a"), text("new"), Value::Integer(1)],
            [text("a"), text("w-paused"), Value::Integer(1)],
            [text("a"), text("w1"), Value::Integer(1)],
            [text("b"), text("w2"), Value::Integer(0)],
            [text("b"), text("w4"), Value::Integer(0)],
        ]
    );
    assert_eq!(
        rows(
            path,
            "SELECT count(*) FROM cached WHERE pool = 'a' AND worker = 'w3'"
        ),
        [[Value::Integer(0)]],
        "a forgotten worker has nothing cached"
    );
    assert_eq!(
        rows(
            path,
            "SELECT created FROM cached WHERE cache_hint = 'hint-9'"
        ),
        [[text("2026-11-23")]]
    );
}

#[test]
fn a_new_file_has_upstreams_tables_and_one_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let new = directory.path().join("new.db");
    drop(db::open(&new, VECTOR_DAY).unwrap());
    let (_keep, vector) = directory_with_vector();

    let shape =
        "SELECT m.type, m.tbl_name, m.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk
                 FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c
                 WHERE m.name NOT LIKE 'sqlite_%' AND m.tbl_name <> 'pauses' ORDER BY 1, 2, 3, c.cid";
    assert_eq!(rows(&new, shape), rows(&vector, shape));
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table'";
    assert_eq!(rows(&new, tables), [[Value::Integer(5)]]);
}

#[test]
fn a_database_of_2020_gains_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scheduler.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TABLE cached (pool TEXT NOT NULL, cache_hint TEXT NOT NULL, worker TEXT NOT NULL,
                 created DATETIME NOT NULL, PRIMARY KEY (pool, cache_hint, worker));
             INSERT INTO cached VALUES ('p', 'h', 'w', '2026-11-01');",
        )
        .unwrap();

    let saved = reopen(&path);
    assert_eq!(saved.cached, [cached("p", "h", "w")]);
    assert_eq!(
        saved.workers,
        [worker("p", "w", false)],
        "without the worker, the hint would have no effect"
    );
    assert_eq!(
        rows(&path, "SELECT count(*) FROM sturdy_refs"),
        [[Value::Integer(0)]]
    );
}

#[test]
fn hints_expire_after_180_days() {
    let (_directory, path) = directory_with_vector();
    let day = |days| UnixTime(VECTOR_DAY.0 + days * DAY);
    assert_eq!(db::open(&path, day(180)).unwrap().1.cached.len(), 4);
    assert_eq!(db::open(&path, day(181)).unwrap().1.cached, []);
}

#[test]
fn a_hint_in_use_does_not_expire() {
    let (_directory, path) = directory_with_vector();
    let later = UnixTime(VECTOR_DAY.0 + 100 * DAY);
    let (writer, _) = db::open(&path, later).unwrap();
    writer.save(Change::Cached(cached("a", "hint-1", "w1")), later);
    drop(writer);
    let (_, saved) = db::open(&path, UnixTime(VECTOR_DAY.0 + 200 * DAY)).unwrap();
    assert_eq!(saved.cached, [cached("a", "hint-1", "w1")]);
}

#[test]
fn rows_that_are_not_utf8_are_left_alone() {
    let (_directory, path) = directory_with_vector();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "INSERT INTO cached VALUES ('a', CAST(x'ff' AS TEXT), 'w1', '2026-11-23');
             INSERT INTO workers VALUES ('a', CAST(x'fe' AS TEXT), 1);
             INSERT INTO pool_user_rate VALUES ('a', CAST(x'fd' AS TEXT), 2.0);
             INSERT INTO sturdy_refs VALUES (zeroblob(32), 'ocluster-client', x'fc', '2026-11-23');
             INSERT INTO sturdy_refs VALUES (x'01', 'ocluster-client', x'61', '2026-11-23');",
        )
        .unwrap();
    let saved = reopen(&path);
    let counts = (
        saved.cached.len(),
        saved.workers.len(),
        saved.rates.len(),
        saved.sturdy_refs.len(),
    );
    assert_eq!(counts, (4, 5, 3, 2));
    assert_eq!(
        rows(&path, "SELECT count(*) FROM sturdy_refs"),
        [[Value::Integer(4)]]
    );
}

/// Opening `contents` must fail and leave the file exactly as it was.
fn refused(contents: &[u8]) -> OpenError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scheduler.db");
    std::fs::write(&path, contents).unwrap();
    let error = db::open(&path, VECTOR_DAY).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), contents, "overwritten");
    assert!(
        error.to_string().contains("scheduler.db"),
        "{error} does not name the file"
    );
    error
}

/// The bytes of a database made by `sql`.
fn made_by(sql: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn damaged_and_foreign_files_are_refused_untouched() {
    let vector = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/scheduler.db"
    ))
    .unwrap();

    let not_a_database = refused(&b"not a database, but long enough to be looked at. ".repeat(40));
    assert!(
        matches!(not_a_database, OpenError::Corrupt { .. }),
        "{not_a_database:?}"
    );

    // Each table and each index is on a page of its own, and damage to any of them counts.
    assert_eq!(vector.len() / 4096, 10);
    for page in 1..10 {
        let mut scrambled = vector.clone();
        scrambled[page * 4096..][..64].fill(0xAA);
        let scrambled = refused(&scrambled);
        assert!(
            matches!(scrambled, OpenError::Corrupt { .. }),
            "page {page}: {scrambled:?}"
        );
    }

    let newer = refused(&made_by("PRAGMA user_version = 3"));
    assert!(
        matches!(newer, OpenError::Newer { found: 3, .. }),
        "{newer:?}"
    );

    for sql in [
        "CREATE TABLE songs (title TEXT)",
        "CREATE TABLE cached (key TEXT, value TEXT)",
        "PRAGMA application_id = 7",
    ] {
        let foreign = refused(&made_by(sql));
        assert!(
            matches!(foreign, OpenError::Foreign { .. }),
            "{sql}: {foreign:?}"
        );
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_written() {
    let (_directory, path) = directory_with_vector();
    let (writer, _) = db::open(&path, VECTOR_DAY).unwrap();
    let carol = PutClient {
        client: "carol".into(),
        digest: [7; 32],
    };

    // Another process locks the file for longer than a write waits.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer.save(Change::Cached(cached("a", "hint-9", "w9")), VECTOR_DAY);
    let note = writer.save_acked(Change::Worker(worker("a", "w3", true)), VECTOR_DAY);
    let error = writer.put_client(carol, VECTOR_DAY).await.unwrap_err();
    assert!(
        note.await.is_err(),
        "a caller that waits for a change gets the error"
    );
    assert_eq!(
        error.to_string(),
        "cannot save to the database: database is locked"
    );

    // The client was refused and is not added later; the notes are tried again.
    other.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    let saved = reopen(&path);
    assert_eq!(saved.sturdy_refs.len(), 2);
    assert!(saved.cached.contains(&cached("a", "hint-9", "w9")));
    assert!(saved.workers.contains(&worker("a", "w3", true)));
}
