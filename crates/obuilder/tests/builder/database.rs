//! The database: the reference's, one that is missing, damaged or behind, and one that cannot be written.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use obuilder::StepId;
use obuilder::builder::{Entry, StepInputs};
use rusqlite::Connection;

use super::house::{BEGIN, House, block_on, run, spec};
use super::mock_store::Gate;

/// The reference's table.
const REFERENCE: &str = "
    CREATE TABLE builds (
        id      TEXT PRIMARY KEY,
        created DATETIME NOT NULL,
        used    DATETIME NOT NULL,
        rc      INTEGER NOT NULL,
        parent  TEXT,
        FOREIGN KEY (parent) REFERENCES builds (id) ON DELETE RESTRICT);
    CREATE INDEX lru ON builds (rc, used);";

fn file(house: &House) -> PathBuf {
    house.dir.path().join("store/state/db/db.sqlite")
}

fn mark(house: &House) -> PathBuf {
    file(house).with_file_name("behind")
}

/// Closes a builder and opens another on the same store.
fn reopen(house: House, meanwhile: impl FnOnce(&Path)) -> House {
    let db = file(&house);
    let House { dir, builder, .. } = house;
    drop(builder);
    meanwhile(&db);
    House::open(dir)
}

/// Builds two steps in a new house, and closes it.
fn built() -> (House, [StepId; 3]) {
    let house = House::open(tempfile::tempdir().unwrap());
    house.fetcher.brings("base");
    house.sandbox.expect("A").exit(0);
    house.sandbox.expect("B").exit(0);
    let b = block_on(house.build(&spec("base", [run("A"), run("B")])));
    let b = b.0.unwrap();
    let entries = house.builder.entries().unwrap();
    (house, [entries[0].id, entries[1].id, b])
}

fn ids(house: &House) -> Vec<(StepId, Option<StepId>)> {
    let mut entries = house.builder.entries().unwrap();
    entries.sort_by_key(|entry| entry.base.is_some());
    entries.iter().map(|entry| (entry.id, entry.base)).collect()
}

/// Opens a copy of a database, which its builder has for itself.
fn copied(db: &Path) -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("db.sqlite");
    for suffix in ["", "-wal"] {
        let file = |path: &Path| format!("{}{suffix}", path.display());
        fs::copy(file(db), file(&copy)).unwrap();
    }
    let connection = Connection::open(copy).unwrap();
    (dir, connection)
}

fn counts(db: &Path) -> Vec<(String, i64)> {
    let (_dir, connection) = copied(db);
    let mut query = connection
        .prepare("SELECT id, rc FROM builds ORDER BY id")
        .unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn sorted(rows: [(StepId, i64); 3]) -> Vec<(String, i64)> {
    let mut rows: Vec<_> = rows.map(|(id, rc)| (id.to_string(), rc)).into();
    rows.sort();
    rows
}

#[test]
fn entries_of_results() {
    let (house, [base, a, b]) = built();
    let at: Timestamp = BEGIN.parse().unwrap();
    let entry = |id, base| Entry {
        id,
        base,
        created: at,
        used: at,
    };
    assert_eq!(
        house.builder.entries().unwrap(),
        [entry(base, None), entry(a, Some(base)), entry(b, Some(a))]
    );
    assert_eq!(counts(&file(&house)), sorted([(base, 1), (a, 1), (b, 0)]));
    let log = house.builder.log_file(&b).unwrap();
    assert_eq!(log, Some(house.store.dir(&b).join("log")));

    // Uses are written when the build that had them ends.
    house.pass(61);
    let build = spec("base", [run("A")]);
    block_on(house.build(&build)).0.unwrap();
    let (_dir, connection) = copied(&file(&house));
    let used = |id: StepId| -> String {
        let query = "SELECT used FROM builds WHERE id = ?1";
        let row = connection.query_row(query, [id.to_string()], |row| row.get(0));
        row.unwrap()
    };
    assert_eq!(used(base), "2026-11-25 12:01:01");
    assert_eq!(used(a), "2026-11-25 12:01:01");
    assert_eq!(used(b), "2026-11-25 12:00:00");
}

#[test]
fn a_store_that_was_closed_is_not_searched() {
    let (house, results) = built();
    assert_eq!(house.store.listed.get(), 1);
    assert!(mark(&house).exists());
    let house = reopen(house, |_| ());
    assert_eq!(house.store.listed.get(), 0);
    assert!(!mark(&house).exists());
    assert_eq!(house.builder.count().unwrap(), results.len() as u64);
}

#[test]
fn a_file_of_the_reference() {
    let (house, [base, a, b]) = built();
    let lost = StepInputs::Base("lost".into()).id();
    let house = reopen(house, |db| {
        fs::remove_dir_all(db.parent().unwrap()).unwrap();
        fs::create_dir(db.parent().unwrap()).unwrap();
        let connection = Connection::open(db).unwrap();
        connection.execute_batch(REFERENCE).unwrap();
        // Its counts have gone wrong, both ways, and it has a row for a result that is gone.
        for (id, parent, rc, used) in [
            (base, None, 0, "2023-01-01 00:00:00"),
            (a, Some(base), 0, "2023-01-02 00:00:00"),
            (b, Some(a), 2, "2023-01-03 00:00:00"),
            (lost, None, 0, "2022-01-01 00:00:00"),
        ] {
            let parent = parent.map(|parent| parent.to_string());
            connection
                .execute(
                    "INSERT INTO builds VALUES (?1, '2022-12-31 23:59:59', ?2, ?3, ?4)",
                    rusqlite::params![id.to_string(), used, rc, parent],
                )
                .unwrap();
        }
    });
    assert_eq!(house.store.listed.get(), 0);
    let entries = house.builder.entries().unwrap();
    assert_eq!(entries.len(), 4);
    assert_eq!(entries[1].id, a);
    assert_eq!(entries[1].created.to_string(), "2022-12-31T23:59:59Z");
    assert_eq!(entries[1].used.to_string(), "2023-01-02T00:00:00Z");
    let mut removed = Vec::new();
    let mut tell = |id: &StepId| removed.push(*id);
    let pruned = house.builder.prune(house.now(), 2, &mut tell);
    // What is gone already is not among them.
    assert_eq!(block_on(pruned).unwrap(), 2);
    assert_eq!(removed, [b, a]);
    assert_eq!(ids(&house), [(base, None)]);
}

#[test]
fn a_file_that_is_missing() {
    let (house, [base, a, b]) = built();
    let house = reopen(house, |db| {
        fs::remove_dir_all(db.parent().unwrap()).unwrap();
    });
    assert_eq!(house.builder.count().unwrap(), 3);
    assert_eq!(counts(&file(&house)), sorted([(base, 1), (a, 1), (b, 0)]));
}

#[test]
fn a_file_that_is_damaged() {
    let texts = [
        "not a database, but long enough to be looked at ".repeat(100),
        "CREATE TABLE builds (x)".to_owned(),
    ];
    for text in texts {
        let (house, [base, a, b]) = built();
        let house = reopen(house, |db| {
            for suffix in ["", "-wal", "-shm"] {
                drop(fs::remove_file(format!("{}{suffix}", db.display())));
            }
            match text.strip_prefix("CREATE") {
                None => fs::write(db, &text).unwrap(),
                Some(_) => Connection::open(db).unwrap().execute_batch(&text).unwrap(),
            }
        });
        assert_eq!(counts(&file(&house)), sorted([(base, 1), (a, 1), (b, 0)]));
        assert!(file(&house).with_extension("damaged").exists());
    }
}

#[test]
fn a_process_that_was_killed_while_it_published() {
    let house = House::open(tempfile::tempdir().unwrap());
    house.fetcher.brings("base");
    let gate = Gate::default();
    *house.store.publishing.borrow_mut() = Some(gate.clone());
    // The tasks go with the process.
    block_on(async {
        let build = house.start(&spec("base", []));
        gate.reached.cancelled().await;
        drop(build);
    });
    // The store had done its part.
    let base = StepInputs::Base("base".into()).id();
    let dir = house.store.dir(&base);
    fs::rename(
        house.dir.path().join("store/draft").join(base.to_string()),
        &dir,
    )
    .unwrap();
    fs::write(dir.join("base"), "").unwrap();
    let house = reopen(house, |db| assert!(db.with_file_name("behind").exists()));
    assert_eq!(house.store.listed.get(), 1);
    assert_eq!(ids(&house), [(base, None)]);
    assert!(!mark(&house).exists());
}

#[test]
fn a_result_without_a_row_gets_one_when_it_is_used() {
    let (house, [base, a, b]) = built();
    let house = reopen(house, |db| {
        let connection = Connection::open(db).unwrap();
        connection
            .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM builds")
            .unwrap();
    });
    let build = spec("base", [run("A"), run("B")]);
    block_on(house.build(&build)).0.unwrap();
    assert_eq!(counts(&file(&house)), sorted([(base, 1), (a, 1), (b, 0)]));
}

#[test]
fn results_that_came_and_went_unseen() {
    let (house, [base, a, b]) = built();
    let house = reopen(house, |db| {
        fs::write(db.with_file_name("behind"), "").unwrap();
        let connection = Connection::open(db).unwrap();
        connection
            .execute("DELETE FROM builds WHERE id = ?1", [b.to_string()])
            .unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = OFF;
                 UPDATE builds SET id = replace(id, substr(id, 1, 4), '0000') WHERE parent IS NULL",
            )
            .unwrap();
    });
    assert_eq!(counts(&file(&house)), sorted([(base, 1), (a, 1), (b, 0)]));
}

/// On a full disk nothing can be written of what is removed, but that is where room must be made.
#[test]
fn unwritten_removals_count_all_the_same() {
    let (house, [base, a, b]) = built();
    let change = |sql: &'static str| {
        move |db: &Path| Connection::open(db).unwrap().execute_batch(sql).unwrap()
    };
    let house = reopen(
        house,
        change(
            "CREATE TRIGGER full BEFORE DELETE ON builds BEGIN SELECT RAISE(ABORT, 'no room'); END",
        ),
    );
    let prune = |house: &House| {
        house.pass(1);
        let mut removed = Vec::new();
        let mut tell = |id: &StepId| removed.push(*id);
        let pruned = block_on(house.builder.prune(house.now(), 100, &mut tell));
        assert_eq!(pruned.unwrap(), removed.len());
        removed
    };
    assert_eq!(prune(&house), [b, a, base]);
    assert_eq!(house.builder.count().unwrap(), 0);
    assert_eq!(house.builder.entries().unwrap(), []);
    assert_eq!(prune(&house), []);

    // The rows have outlived their results. They are no news to anybody, time and again.
    let house = reopen(house, |_| ());
    assert_eq!(house.builder.count().unwrap(), 3);
    assert_eq!(prune(&house), []);
    assert_eq!(house.builder.count().unwrap(), 0);
    let house = reopen(house, change("DROP TRIGGER full"));
    assert_eq!(prune(&house), []);
    let house = reopen(house, |_| ());
    assert_eq!(house.builder.count().unwrap(), 0);
}

#[test]
fn a_database_that_cannot_be_written_for_a_while() {
    let house = House::open(tempfile::tempdir().unwrap());
    house.fetcher.brings("base");
    block_on(house.build(&spec("base", []))).0.unwrap();
    let change = |sql: &'static str| {
        move |db: &Path| Connection::open(db).unwrap().execute_batch(sql).unwrap()
    };
    let house = reopen(
        house,
        change(
            "CREATE TRIGGER full BEFORE INSERT ON builds WHEN NEW.parent IS NOT NULL
             BEGIN SELECT RAISE(ABORT, 'no room'); END",
        ),
    );
    let id = block_on(async {
        house.sandbox.expect("A").exit(0);
        let (result, _) = house.build(&spec("base", [run("A")])).await;
        let id = result.unwrap();
        assert!(house.store.has(&id));

        // What has no row yet is not forgotten: it goes before its base.
        house.pass(1);
        let now = house.now();
        let mut removed = Vec::new();
        let mut tell = |id: &StepId| removed.push(*id);
        let pruned = house.builder.prune(now, 1, &mut tell).await;
        assert_eq!((pruned.unwrap(), &*removed), (1, &[id][..]));
        house.sandbox.expect("A").exit(0);
        house.sandbox.expect("B").exit(0);
        let (leaf, _) = house.build(&spec("base", [run("A"), run("B")])).await;
        let mut removed = Vec::new();
        let mut tell = |id: &StepId| removed.push(*id);
        house.builder.delete(&id, &mut tell).await.unwrap();
        assert_eq!(removed, [leaf.unwrap(), id]);
        house.sandbox.expect("A").exit(0);
        house.build(&spec("base", [run("A")])).await.0.unwrap();
        id
    });
    assert!(mark(&house).exists());

    let house = reopen(house, change("DROP TRIGGER full"));
    assert_eq!(house.builder.count().unwrap(), 2);
    assert_eq!(ids(&house)[1].0, id);
}
