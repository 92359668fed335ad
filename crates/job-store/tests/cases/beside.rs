//! What a store keeps beside the jobs: the audit log, and which logs there are.

use job_store::LogStatus::{Counted, Removed, Uncounted};
use job_store::{
    AuditEntry, AuditQuery, Details, Entry, Expired, Expiry, KeptLog, LogStatus, Query, Reader,
    Sealer, Totals, Write, Writer,
};
use jobs::{AttemptId, CancelledBy, Change, JobId, NewJob, Outcome, Terms};
use pool::{CacheHint, ClientId, Time};

use crate::place::Place;

struct Store {
    place: Place,
    writer: Box<dyn Writer>,
    reader: Box<dyn Reader>,
}

impl Store {
    fn or_not_run() -> Option<Self> {
        Place::or_not_run().map(Self::open)
    }

    fn open(place: Place) -> Self {
        let (writer, reader) = place.open();
        Self {
            place,
            writer,
            reader,
        }
    }

    fn append(&mut self, entries: &[Entry]) {
        self.writer.append(entries).expect("the disk takes it");
    }

    /// Returns the times of a page, and where the next one begins.
    fn audit(&mut self, query: AuditQuery) -> (Vec<i64>, Option<Time>) {
        let page = self.reader.audit(&query).expect("the store can be read");
        let times = page.entries.iter().map(|entry| entry.time.micros());
        (times.collect(), page.next)
    }

    fn log_status(&mut self, job: u64) -> LogStatus {
        let status = self.reader.log_status(log(job, 0, 0).attempt);
        status.expect("the store can be read")
    }

    /// Adds a job that has ended, or one that has not.
    fn job(&mut self, number: u64, has_ended: bool) {
        let id = JobId::from_bits(number);
        let new = NewJob {
            id,
            client: ClientId::new("alice").expect("a good name"),
            pool: format!("pool-{}", number % 2).as_str().into(),
            hint: CacheHint::new(""),
            urgent: false,
            key: None,
            terms: Terms::default(),
        };
        let details = Details {
            description: Sealer::new(b"key").seal(id, b"").expect("sealed"),
            kind: "docker".to_owned(),
            labels: Vec::new(),
        };
        let end = Change::Ended {
            job: id,
            outcome: Outcome::Cancelled(CancelledBy::Client),
            at: time(10),
        };
        let mut writes = vec![Write::submitted(new, time(1), details)];
        writes.extend(has_ended.then(|| Write::new(end, None)));
        self.writer.commit(&writes).expect("the disk takes it");
    }
}

fn time(micros: i64) -> Time {
    Time::from_micros(micros)
}

fn entry(micros: i64) -> Entry {
    Entry::Audit(AuditEntry {
        time: time(micros),
        by: "alice@desk".to_owned(),
        ..AuditEntry::default()
    })
}

fn log(job: u64, since: i64, bytes: u64) -> KeptLog {
    let attempt = AttemptId {
        job: JobId::from_bits(job),
        number: 1,
    };
    KeptLog {
        attempt,
        since: time(since),
        bytes,
        length: Some(10 * bytes),
    }
}

fn expire(store: &mut Store, logs_before: i64, max_log_bytes: u64) -> Vec<KeptLog> {
    let expiry = Expiry {
        logs_before: time(logs_before),
        max_log_bytes,
        audit_before: Time::EPOCH,
    };
    let expired = store.writer.expire(&expiry, 2).expect("the disk takes it");
    expired.logs
}

#[test]
fn the_audit_log_has_pages_and_an_age() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    store.append(&[entry(1), entry(2), entry(3), entry(4)]);
    store.append(&[Entry::AuditFailed {
        time: time(3),
        error: "no such worker".to_owned(),
    }]);
    let query = AuditQuery {
        at_most: 2,
        ..AuditQuery::default()
    };
    assert_eq!(store.audit(query), (vec![4, 3], Some(time(3))));
    let before = Some(time(3));
    let rest = AuditQuery { before, ..query };
    assert_eq!(store.audit(rest), (vec![2, 1], Some(time(1))));
    let since = Some(time(2));
    let recent = AuditQuery {
        since,
        at_most: 9,
        ..query
    };
    assert_eq!(store.audit(recent), (vec![4, 3, 2], None));
    let page = store.reader.audit(&query).expect("the store can be read");
    let errors: Vec<_> = page
        .entries
        .iter()
        .map(|entry| entry.error.as_str())
        .collect();
    assert_eq!(errors, ["", "no such worker"]);

    // What is too old goes in pieces.
    let expiry = Expiry {
        logs_before: Time::EPOCH,
        max_log_bytes: u64::MAX,
        audit_before: time(4),
    };
    let mut removed = || {
        let expired: Expired = store.writer.expire(&expiry, 2).expect("the disk takes it");
        expired.entries
    };
    assert_eq!([removed(), removed(), removed()], [2, 1, 0]);
    assert_eq!(store.audit(recent), (vec![4], None));
}

#[test]
fn logs_are_removed_by_age_and_by_size_and_those_of_unfinished_jobs_are_not() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    for number in 1..=5 {
        store.job(number, number != 2);
        store.append(&[Entry::Log(log(number, number.cast_signed(), 100))]);
    }
    // By age: the first. The second belongs to a job that has not ended.
    assert_eq!(expire(&mut store, 3, 400), [log(1, 1, 100)]);
    assert_eq!(expire(&mut store, 3, 400), []);
    // By size, in pieces of two; and no more of them if it is asked for twice.
    assert_eq!(expire(&mut store, 0, 250), [log(3, 3, 100), log(4, 4, 100)]);
    assert_eq!(expire(&mut store, 0, 250), []);
    let totals = store.writer.totals().expect("the store can be read");
    assert_eq!(totals.log_bytes, 200);
    assert_eq!(
        [1, 2, 3, 5, 6].map(|number| store.log_status(number)),
        [Removed, Counted, Removed, Counted, Uncounted]
    );
    // With its job, the rest of what is known of a log goes.
    let pruned = store.writer.prune(time(11), 9).expect("the disk takes it");
    let bytes: Vec<_> = pruned.iter().map(|job| job.log_bytes).collect();
    assert_eq!(bytes, [0, 0, 0, 100]);
    let totals = store.writer.totals().expect("the store can be read");
    assert_eq!(totals.log_bytes, 100);
}

#[test]
fn a_store_goes_on_where_it_was() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    assert_eq!(
        store.writer.totals().expect("it can be read"),
        Totals::default()
    );
    store.job(1, true);
    store.append(&[entry(7), Entry::Log(log(1, 2, 30))]);
    let length = |store: &mut Store, job| {
        let found = store.reader.log_length(log(job, 0, 0).attempt);
        found.expect("it can be read")
    };
    assert_eq!(length(&mut store, 1), Some(300));
    assert_eq!(length(&mut store, 2), None);
    let Store { place, .. } = store;
    let mut store = Store::open(place);
    let expected = Totals {
        log_bytes: 30,
        last_audit: time(7),
    };
    assert_eq!(store.writer.totals().expect("it can be read"), expected);
}

/// A process counts the log of an attached job, and is killed before it has saved the job.
#[test]
fn a_log_without_a_job_is_not_counted_after_a_restart() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    store.job(1, true);
    store.append(&[Entry::Log(log(1, 2, 30)), Entry::Log(log(2, 2, 500))]);
    let Store { place, .. } = store;
    let mut store = Store::open(place);
    let totals = store.writer.totals().expect("it can be read");
    assert_eq!(totals.log_bytes, 30);
    assert_eq!(
        [1, 2].map(|number| store.log_status(number)),
        [Counted, Uncounted]
    );
}

/// The total from which it is known how much to remove stays right whatever adds to it and takes from it.
#[test]
fn as_many_logs_are_removed_as_take_too_much() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    (1..=6).for_each(|number| store.job(number, true));
    store.append(&[Entry::Log(log(1, 1, 100)), Entry::Log(log(2, 2, 100))]);
    assert_eq!(expire(&mut store, 0, 200), []);
    // Counted again, it takes more. Two more are whole.
    let more = [log(2, 2, 150), log(3, 3, 100), log(4, 4, 100)];
    store.append(&more.map(Entry::Log));
    assert_eq!(expire(&mut store, 0, 350), [log(1, 1, 100)]);
    assert_eq!(expire(&mut store, 0, 350), []);
    // With their jobs, all are gone.
    let pruned = store.writer.prune(time(11), 4).expect("the disk takes it");
    assert_eq!(pruned.iter().map(|job| job.log_bytes).sum::<u64>(), 350);
    store.append(&[Entry::Log(log(5, 5, 100)), Entry::Log(log(6, 6, 100))]);
    assert_eq!(expire(&mut store, 0, 200), []);
    assert_eq!(expire(&mut store, 0, 100), [log(5, 5, 100)]);
}

#[test]
fn jobs_of_all_clients_are_found_by_pool_and_id() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    (1..=4).for_each(|number| store.job(number, true));
    let query = Query {
        pool: Some("pool-1".to_owned()),
        at_most: 9,
        ..Query::default()
    };
    let page = store.reader.page(&query).expect("the store can be read");
    assert_eq!(page.ids().map(JobId::bits).collect::<Vec<_>>(), [3, 1]);
    let ids = JobId::from_bits(2)..=JobId::from_bits(4);
    let found = store
        .reader
        .all_in_range(ids, 2)
        .expect("the store can be read");
    assert_eq!(
        found.into_iter().map(JobId::bits).collect::<Vec<_>>(),
        [2, 3]
    );
}
