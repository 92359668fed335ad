//! The database goes away, in the middle of anything: nothing is lost, and nothing is saved twice.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use cluster_postgres::{Lease, Settings};
use job_store::{Committer, Place as StorePlace, Query, Reader, Report, Writer};
use jobs::{ChangeId, JobId};
use rig::PostgreSql;

use crate::cut::Cut;
use crate::jobs::{assigned, id, submitted, write};
use crate::place::Place;

fn open(settings: &Settings, holder: &str) -> (Box<dyn Writer>, Box<dyn Reader>) {
    let lease = Lease::take(settings, holder).expect("a lease");
    let settings = settings.clone();
    StorePlace::Postgres { settings, lease }
        .open()
        .expect("a store")
}

fn all(reader: &mut Box<dyn Reader>) -> BTreeSet<JobId> {
    let mut found = BTreeSet::new();
    let mut query = Query {
        at_most: 1000,
        ..Query::default()
    };
    loop {
        let page = reader.page(&query).expect("the store can be read");
        found.extend(page.ids());
        match page.next {
            Some(next) => query.before = Some(next),
            None => return found,
        }
    }
}

#[test]
fn a_second_scheduler_keeps_the_first_one_from_writing() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut first, _) = place.open();
    first
        .commit(&[write(submitted(1))])
        .expect("it has the lease");
    let (mut second, mut reader) = open(&place.settings, "process 7 on elsewhere");
    let error = first
        .commit(&[write(submitted(2))])
        .expect_err("it has lost the lease");
    let text = error.to_string();
    assert!(
        text.contains("another scheduler has taken over the database: process 7 on elsewhere"),
        "{text}"
    );
    second
        .commit(&[write(submitted(3))])
        .expect("it has the lease");
    first
        .prune(pool::Time::from_secs(9), 1)
        .expect_err("it has lost the lease");
    first
        .end_attached(pool::Time::from_secs(9))
        .expect_err("it has lost the lease");
    first
        .commit(&[write(submitted(4))])
        .expect_err("it has lost the lease");
    assert_eq!(all(&mut reader), BTreeSet::from([id(1), id(3)]));
}

/// The first transaction is under way when the lease is taken: either it is saved before, or not at all.
#[test]
fn the_lease_is_taken_between_two_transactions() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut first, mut reader) = place.open();
    let settings = place.settings.clone();
    let writing = std::thread::spawn(move || {
        let mut saved = BTreeSet::new();
        for number in 1..=2000 {
            match first.commit(&[write(submitted(number))]) {
                Ok(()) => saved.insert(id(number)),
                Err(_) => break,
            };
        }
        saved
    });
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(Lease::take(&settings, "another").expect("a lease"));
    }
    let saved = writing.join().expect("no panic");
    assert!(leases.is_sorted() && saved.len() < 2000);
    assert_eq!(all(&mut reader), saved);
}

#[test]
fn a_commit_whose_answer_is_lost_is_saved_once() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    drop(place.open());
    let cut = Cut::start(place.socket());
    let (mut writer, mut reader) = open(&cut.settings(place.database()), "a test");
    for number in 1..=20 {
        cut.lose_answers(1 + u32::try_from(number % 3).expect("small"));
        let changes = [write(submitted(number)), write(assigned(number, 1))];
        writer.commit(&changes).expect("it is tried again");
        cut.lose_answers(0);
    }
    assert_eq!(all(&mut reader), (1..=20).map(id).collect());
    let counts = "SELECT count(*), sum(attempts), (SELECT count(*) FROM ocluster.labels),
        (SELECT count(*) FROM ocluster.attempts), (SELECT number FROM ocluster.batches) FROM ocluster.jobs";
    assert_eq!(place.sql(counts), "20|20|40|20|20");
}

#[test]
fn a_job_that_was_refused_is_removed_though_it_had_been_saved() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    drop(place.open());
    let cut = Cut::start(place.socket());
    let (mut writer, _) = open(&cut.settings(place.database()), "a test");
    let (_, mut reader) = (writer.restore().expect("it can be read"), place.reader());
    writer.commit(&[write(submitted(1))]).expect("saved");
    cut.lose_answers(1);
    cut.set_away(true);
    let changes = [write(assigned(1, 1)), write(submitted(2))];
    let error = writer
        .commit(&changes)
        .expect_err("it is away for too long")
        .to_string();
    assert!(
        error.contains("cannot reach the database postgres://"),
        "{error}"
    );
    assert_eq!(cut.answers_to_lose(), 0);
    assert_eq!(
        all(&mut reader),
        BTreeSet::from([id(1), id(2)]),
        "it was saved, and nobody knows"
    );
    // The client of the second job is told that it failed. What is about other jobs is tried again.
    cut.set_away(false);
    writer
        .commit(&[write(assigned(1, 1)), write(submitted(3))])
        .expect("it is back");
    assert_eq!(all(&mut reader), BTreeSet::from([id(1), id(3)]));
    assert_eq!(
        reader
            .record(id(1))
            .expect("read")
            .expect("kept")
            .attempts
            .len(),
        1
    );
}

/// What the thread reported as saved is there, and what it reported as refused is not, whatever happens to connections.
#[test]
fn connections_that_are_killed_lose_nothing() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (writer, mut reader) = place.open();
    let (reports, received) = mpsc::channel();
    let report = move |report| reports.send(report).unwrap_or_default();
    let committer = Committer::start(writer, report).expect("a thread");
    let jobs = 600;
    for number in 1..=jobs {
        let changes = vec![
            (ChangeId(2 * number), write(submitted(number))),
            (ChangeId(2 * number + 1), write(assigned(number, 1))),
        ];
        committer.save(changes);
        if number.is_multiple_of(20) {
            place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ocluster'
                 AND datname = current_database()");
        }
    }
    drop(committer);
    let reports: Vec<Report> = received.iter().collect();
    assert_eq!(
        reports.last(),
        Some(&Report::Committed(ChangeId(2 * jobs + 1)))
    );
    assert!(
        !reports
            .iter()
            .any(|report| matches!(report, Report::Failed { .. })),
        "{reports:?}"
    );
    // The reader's connection was killed, too.
    assert_eq!(all(&mut reader), (1..=jobs).map(id).collect());
    let counts = "SELECT count(*), sum(attempts), (SELECT count(*) FROM ocluster.attempts) FROM ocluster.jobs";
    assert_eq!(place.sql(counts), format!("{jobs}|{jobs}|{jobs}"));
}

#[test]
fn commits_wait_for_a_database_that_restarts_or_crashes() {
    // Its own server: others must not notice.
    let server = match PostgreSql::start(&[]) {
        Ok(server) => server,
        Err(error) => return rig::report_not_run("a restart of PostgreSQL", &format!("{error:#}")),
    };
    let settings =
        Settings::parse(&server.create("farm").expect("a database")).expect("an address");
    cluster_postgres::prepare(&settings, &[job_store::postgres::TABLES]).expect("tables");
    let (writer, mut reader) = open(&settings, "a test");
    let (reports, received) = mpsc::channel();
    let report = move |report| reports.send(report).unwrap_or_default();
    let committer = Committer::start(writer, report).expect("a thread");
    let mut number = 0;
    let mut save = || {
        number += 1;
        committer.save(vec![(ChangeId(number), write(submitted(number)))]);
        number
    };
    for round in 0..4 {
        save();
        if round % 2 == 0 {
            server.stop().expect("it ends");
        } else {
            server.kill().expect("it ends");
        }
        save();
        // Reads wait, too.
        let read = std::thread::scope(|scope| {
            let started = scope.spawn(|| server.start_again());
            let read = reader.record(id(1));
            let started = started.join().expect("it does not panic");
            started.expect("it starts");
            read
        });
        read.expect("it is back");
        let last = save();
        loop {
            match received
                .recv_timeout(Duration::from_secs(60))
                .expect("a report")
            {
                Report::Committed(ChangeId(saved)) if saved == last => break,
                Report::Committed(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(reader.record(id(last)).expect("it is back").is_some());
    }
    drop(committer);
    assert_eq!(all(&mut reader), (1..=number).map(id).collect());
    // A read does not wait for ever.
    server.stop().expect("it ends");
    let error = reader.record(id(1)).expect_err("it is away").to_string();
    assert!(error.contains("cannot reach the database"), "{error}");
}
