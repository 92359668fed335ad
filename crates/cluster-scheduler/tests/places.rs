//! The state in upstream's file and in PostgreSQL: the same changes leave the same, and it moves between the two.

use std::path::Path;

use cluster_postgres::{Lease, Settings};
use cluster_scheduler::db::{
    self, CachedRow, Change, PauseRow, PutClient, RateRow, Saved, UnixTime, WorkerRow, Writer,
};
use cluster_scheduler::{CopyError, StorePlace, copy_store};
use rig::{PostgreSql, report_not_run};
use rusqlite::Connection;

const DAY: i64 = 24 * 60 * 60;
const TODAY: UnixTime = UnixTime(20_000 * DAY);

fn server(test: &str) -> Option<PostgreSql> {
    let server = PostgreSql::start(&[]);
    server
        .map_err(|error| report_not_run(test, &format!("{error:#}")))
        .ok()
}

fn settings(server: &PostgreSql, database: &str) -> Settings {
    let address = server.create(database).expect("a database");
    Settings::parse(&address).expect("an address")
}

fn open(settings: &Settings, now: UnixTime) -> (Writer, Saved) {
    cluster_postgres::prepare(settings, &[db::TABLES]).expect("tables");
    let lease = Lease::take(settings, "a test").expect("a lease");
    db::open_postgres(settings, lease, now).expect("a database")
}

fn changes() -> Vec<Change> {
    let cached = |hint: &str, worker: &str| CachedRow {
        pool: "a".to_owned(),
        hint: hint.to_owned(),
        worker: worker.to_owned(),
    };
    let worker = |worker: &str, paused| WorkerRow {
        pool: "a".to_owned(),
        worker: worker.to_owned(),
        paused,
    };
    let pause = |worker: &str| PauseRow {
        pool: "a".to_owned(),
        worker: worker.to_owned(),
        since: TODAY,
        by: "alice\0".to_owned(),
        note: "disk ☃".to_owned(),
    };
    let rate = |client: &str, rate| RateRow {
        pool: "a".to_owned(),
        client: client.to_owned(),
        rate,
    };
    let long = "long \0 \\x ü ".repeat(1000);
    vec![
        Change::Cached(cached(&long, "w1")),
        Change::Cached(cached(&long, "w1")),
        Change::Cached(cached("hint", "w1")),
        Change::Cached(cached("hint", "w2")),
        Change::Cached(cached("dropped", "w1")),
        Change::Uncached(cached("dropped", "w1")),
        Change::Worker(worker("w1", true)),
        Change::Pause(pause("w1")),
        Change::Pause(pause("w1")),
        Change::Worker(worker("w2", true)),
        Change::Pause(pause("w2")),
        Change::Worker(worker("w2", false)),
        Change::Worker(worker("w3", true)),
        Change::ForgetWorker {
            pool: "a".to_owned(),
            worker: "w3".to_owned(),
        },
        Change::Rate(rate("bob", 2.0)),
        Change::Rate(rate("bob", f64::INFINITY)),
        Change::Rate(rate("carol", 0.1)),
        Change::RemoveClient {
            client: "carol".to_owned(),
        },
    ]
}

async fn fill(writer: Writer) {
    for (client, digest) in [("bob", 1), ("carol", 2), ("bob", 3)] {
        let client = PutClient {
            client: client.to_owned(),
            digest: [digest; 32],
        };
        writer.put_client(client, TODAY).await.expect("saved");
    }
    for change in changes() {
        writer.save_acked(change, TODAY).await.expect("saved");
    }
    writer.close().await;
}

fn assert_same(left: &Saved, right: &Saved) {
    assert_eq!(left.sturdy_refs, right.sturdy_refs);
    assert_eq!(left.cached, right.cached);
    assert_eq!(left.workers, right.workers);
    assert_eq!(left.rates, right.rates);
    assert_eq!(left.pauses, right.pauses);
}

/// Blocks as a scheduler may not: on a thread of its own.
fn run<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

#[tokio::test]
async fn the_same_changes_leave_the_same_in_both_places() {
    let Some(server) = server("upstream's tables in PostgreSQL") else {
        return;
    };
    let settings = settings(&server, "farm");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("scheduler.db");
    fill(db::open(&path, TODAY).expect("a file").0).await;
    fill(run(|| open(&settings, TODAY)).0).await;
    let in_file = db::open(&path, TODAY).expect("a file").1;
    let in_database = run(|| open(&settings, TODAY)).1;
    assert!(
        in_file.cached.len() == 3 && in_file.pauses.len() == 1,
        "{in_file:?}"
    );
    assert_same(&in_file, &in_database);
    // Hints expire on the same day.
    for (days, left) in [(180, 3), (181, 0)] {
        let later = UnixTime(TODAY.0 + days * DAY);
        assert_eq!(db::open(&path, later).expect("a file").1.cached.len(), left);
        assert_eq!(run(|| open(&settings, later)).1.cached.len(), left);
    }
}

fn rows(file: &Path, table: &str) -> Vec<String> {
    let connection = Connection::open(file).expect("a file");
    let mut select = connection
        .prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"))
        .expect("a table");
    let columns = select.column_count();
    let rows = select.query_map([], |row| {
        let values = (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column));
        Ok(format!("{:?}", values.collect::<Result<Vec<_>, _>>()?))
    });
    rows.expect("rows")
        .collect::<Result<_, _>>()
        .expect("a row")
}

/// Makes the files of a scheduler, with a row in each table.
async fn fill_files(old: &Path) {
    std::fs::create_dir(old).expect("made");
    let (writer, _) = db::open(&old.join("scheduler.db"), TODAY).expect("a file");
    fill(writer).await;
    drop(job_store::sqlite::open(&old.join("jobs.db")).expect("a file"));
    let jobs = Connection::open(old.join("jobs.db")).expect("a file");
    jobs.execute_batch(
        "INSERT INTO jobs (seq, id, client, pool, hint, urgent, key, attempts_allowed, kind, description, submitted,
             state, since, attempts, outcome, detail, exit_code, attached)
         VALUES (7, 1, 'bob', 'a', 'h', 1, 'k', 3, 'docker', x'00ff', 5, 3, 9, 1, 'failed', 'out of memory', 255, 0),
             (9, 2, 'bob', 'a', '', 0, NULL, 1, 'docker', NULL, 6, 0, 6, 0, NULL, NULL, NULL, 1);
         INSERT INTO attempts VALUES (1, 1, 'w1', 1, 6, 9, 'failed', 'out of memory', 255);
         INSERT INTO labels VALUES (7, 'branch', 'main');
         INSERT INTO audit VALUES (8, 'admin', 'unix', 'alice', 'pause', 'a', 'w1', '', '');
         INSERT INTO logs VALUES (1, 1, 9, NULL, 44);
         INSERT INTO phases VALUES (1, 1, 1, 'step', 'RUN make', 0, 1, 2, 0);",
    )
    .expect("good SQL");
    drop(jobs);
    // A name that is no text: nobody can ask for it.
    let scheduler = Connection::open(old.join("scheduler.db")).expect("a file");
    scheduler
        .execute(
            "INSERT INTO workers VALUES ('a', CAST(x'ff' AS TEXT), NULL)",
            [],
        )
        .expect("good SQL");
    drop(scheduler);
}

#[tokio::test]
async fn upstreams_file_comes_back_as_it_was() {
    let Some(server) = server("a copy of upstream's file in PostgreSQL") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fill_files(&old).await;
    let database = StorePlace::Postgres(settings(&server, "farm"));
    let (from, to) = (
        StorePlace::StateDir(old.clone()),
        StorePlace::StateDir(new.clone()),
    );
    let copied = run(|| copy_store(&from, &database)).expect("copied");
    let workers = copied
        .iter()
        .find(|copied| copied.table == "workers")
        .expect("a table");
    assert_eq!((workers.rows, workers.left_out), (2, 1));
    let again = run(|| copy_store(&from, &database)).expect_err("it is not empty");
    assert!(matches!(again, CopyError::NotEmpty { .. }), "{again}");
    run(|| copy_store(&database, &to)).expect("copied");
    let again = run(|| copy_store(&database, &to)).expect_err("it is not empty");
    assert!(matches!(again, CopyError::NotEmpty { .. }), "{again}");
    for table in ["cached", "pool_user_rate", "sturdy_refs", "pauses"] {
        let file = "scheduler.db";
        assert!(!rows(&old.join(file), table).is_empty());
        assert_eq!(rows(&old.join(file), table), rows(&new.join(file), table));
    }
    for table in ["jobs", "attempts", "labels", "audit", "logs", "phases"] {
        let file = "jobs.db";
        assert!(!rows(&old.join(file), table).is_empty());
        assert_eq!(rows(&old.join(file), table), rows(&new.join(file), table));
    }
    let names = std::fs::read_dir(&new)
        .expect("a folder")
        .flatten()
        .map(|file| file.file_name());
    assert!(
        !names
            .into_iter()
            .any(|name| name.to_string_lossy().contains("copy"))
    );

    // What fails in the middle leaves the target as it was.
    let broken = Connection::open(old.join("jobs.db")).expect("a file");
    broken
        .execute_batch("PRAGMA writable_schema = ON; DROP TABLE phases")
        .expect("good SQL");
    drop(broken);
    let other = StorePlace::Postgres(settings(&server, "other"));
    run(|| copy_store(&from, &other)).expect_err("a table is missing");
    assert_eq!(
        server
            .sql("other", "SELECT count(*) FROM ocluster.jobs")
            .expect("good SQL"),
        "0"
    );
}
