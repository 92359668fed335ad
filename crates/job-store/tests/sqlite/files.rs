//! Files of older versions, of newer ones, and of others.

use std::path::Path;

use job_store::sqlite::{self, SqliteReader, SqliteWriter};
use job_store::{AuditEntry, AuditQuery, Entry, OpenError, Reader as _, State, Writer as _};
use jobs::SavedStage;

use crate::attached::{at, durable, id, record, running};

fn open(folder: &Path) -> (SqliteWriter, SqliteReader) {
    sqlite::open(&folder.join("jobs.db")).expect("a good store")
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let sqlite = |path: &Path, sql: &str| {
        let connection = rusqlite::Connection::open(path).expect("a database");
        connection.execute_batch(sql).expect("good SQL");
    };
    sqlite(&file("other.db"), "CREATE TABLE cars (wheels INTEGER)");
    assert!(matches!(
        sqlite::open(&file("other.db")),
        Err(OpenError::Foreign { .. })
    ));
    drop(sqlite::open(&file("newer.db")).expect("a new store"));
    sqlite(&file("newer.db"), "PRAGMA user_version = 99");
    assert!(matches!(
        sqlite::open(&file("newer.db")),
        Err(OpenError::Newer { found: 99, .. })
    ));
    std::fs::write(
        file("text.db"),
        "not a database, but a text that is long enough to be one".repeat(100),
    )
    .expect("written");
    assert!(matches!(
        sqlite::open(&file("text.db")),
        Err(OpenError::Damaged { .. })
    ));
}
#[test]
fn a_database_of_version_1_is_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jobs.db");
    let old = rusqlite::Connection::open(&path).expect("a database");
    old.execute_batch(include_str!("vectors/jobs-1.sql"))
        .expect("good SQL");
    drop(old);
    let (mut writer, mut reader) = open(folder.path());
    let saved = writer.restore().expect("the store can be read");
    let restored: Vec<_> = saved
        .iter()
        .map(|saved| {
            let is_queued = matches!(saved.stage, SavedStage::Queued { .. });
            (saved.new.id.bits(), is_queued, saved.losses.len())
        })
        .collect();
    assert_eq!(restored, [(1001, true, 0), (1002, false, 1)]);
    assert_eq!(writer.end_attached(at(9)).expect("saved"), 0);
    for number in 1001..=1003 {
        assert!(!record(&mut reader, number).attached);
    }
    let failed = record(&mut reader, 1003);
    assert_eq!(
        (failed.client.as_str(), failed.state),
        ("bob", State::Failed)
    );
    assert_eq!(record(&mut reader, 1001).labels.len(), 1);
    let description = reader.description(id(1001)).expect("the store can be read");
    assert_eq!(description.expect("it is kept").as_bytes(), [1, 2]);
    writer.save_attached(&[running(7)]).expect("saved");
    writer.commit(&[durable(8)]).expect("saved");
    drop((writer, reader));
    // Once more, it is up to date.
    let (_writer, mut reader) = open(folder.path());
    assert!(record(&mut reader, 7).attached);
    assert!(!record(&mut reader, 8).attached);
}

#[test]
fn a_file_without_audit_log_gets_one_and_keeps_its_jobs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jobs.db");
    drop(open(folder.path()));
    let old = rusqlite::Connection::open(&path).expect("a database");
    old.execute_batch(
        "DROP TABLE audit; DROP TABLE logs; DROP TABLE phases; DROP INDEX ended_descriptions;
         ALTER TABLE jobs DROP COLUMN attached; PRAGMA user_version = 1;
         INSERT INTO jobs (id, client, pool, hint, urgent, attempts_allowed, kind, submitted, state, since, attempts)
         VALUES (1, 'alice', 'linux', '', 0, 1, 'docker', 1, 0, 1, 0)",
    )
    .expect("good SQL");
    drop(old);
    let (mut writer, mut reader) = open(folder.path());
    let entry = AuditEntry {
        time: at(1),
        ..AuditEntry::default()
    };
    writer
        .append(&[Entry::Audit(entry.clone())])
        .expect("the disk takes it");
    let query = AuditQuery {
        at_most: 9,
        ..AuditQuery::default()
    };
    assert_eq!(
        reader.audit(&query).expect("the store can be read").entries,
        [entry]
    );
    assert!(
        reader
            .record(id(1))
            .expect("the store can be read")
            .is_some()
    );
}
