//! Texts from outside are read as they were written, whatever is in them.

use job_store::{
    AuditEntry, AuditQuery, ChangedPhases, Details, Entry, Label, PhaseRecord, Query, Sealer,
    Write, Writer,
};
use jobs::{Attempt, AttemptId, Change, JobId, NewJob, Outcome, Terms, Verdict};
use pool::{CacheHint, ClientId, Time, WorkerName};

use crate::place::Place;

const TEXTS: [&str; 5] = [
    "",
    "a\0b",
    "\0",
    "\u{10ffff}0\u{fffe}",
    "'; DROP TABLE jobs; --\n\r\t\u{1b}[31m",
];

/// Saves a job in which everything is an odd text, and has ended.
fn save_job(writer: &mut dyn Writer, id: JobId, odd: &str) -> (NewJob, Label, Outcome) {
    let label = Label {
        name: format!("name{odd}"),
        value: odd.to_owned(),
    };
    let new = NewJob {
        id,
        client: ClientId::new("alice").expect("a good name"),
        pool: odd.into(),
        hint: CacheHint::new(odd),
        urgent: false,
        key: None,
        terms: Terms::default(),
    };
    let details = Details {
        description: Sealer::new(b"key")
            .seal(id, odd.as_bytes())
            .expect("sealed"),
        kind: odd.to_owned(),
        labels: vec![label.clone()],
    };
    let attempt = Attempt {
        number: 1,
        worker: WorkerName::new("w1").expect("a good name"),
        survives: false,
        started: Time::from_secs(1),
    };
    let outcome = Outcome::Done(Verdict::Failed {
        detail: odd.into(),
        exit_code: Some(255),
    });
    let changes = [
        Write::submitted(new.clone(), Time::from_secs(1), details),
        Write::new(Change::Assigned { job: id, attempt }, None),
        Write::new(
            Change::Ended {
                job: id,
                outcome: outcome.clone(),
                at: Time::from_secs(2),
            },
            None,
        ),
    ];
    writer.commit(&changes).expect("saved");
    (new, label, outcome)
}

#[test]
fn every_text_of_a_job_is_read_as_it_was_written() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut writer, mut reader) = place.open();
    for (number, odd) in (1..).zip(TEXTS) {
        let id = JobId::from_bits(number);
        let (new, label, outcome) = save_job(&mut *writer, id, odd);
        let record = reader
            .record(id)
            .expect("the store can be read")
            .expect("it is kept");
        assert_eq!(record.labels, std::slice::from_ref(&label));
        assert_eq!(
            (&*record.pool, &*record.hint, &*record.kind),
            (odd, new.hint.as_str(), odd)
        );
        assert_eq!(record.end.map(|(outcome, _)| outcome), Some(outcome));
        let submitted = reader
            .submitted(id)
            .expect("the store can be read")
            .expect("it is kept");
        assert_eq!(submitted.new, new);
        let mut found = |query: Query| {
            let page = reader
                .page(&Query {
                    at_most: 9,
                    ..query
                })
                .expect("the store can be read");
            page.ids().collect::<Vec<_>>()
        };
        assert_eq!(
            found(Query {
                hint: Some(new.hint.as_str().to_owned()),
                ..Query::default()
            }),
            [id]
        );
        assert_eq!(
            found(Query {
                labels: vec![label],
                ..Query::default()
            }),
            [id]
        );
    }
}

#[test]
fn every_text_beside_jobs_is_read_as_it_was_written() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut writer, mut reader) = place.open();
    for (number, odd) in (1..).zip(TEXTS) {
        let id = JobId::from_bits(number);
        save_job(&mut *writer, id, odd);
        let entry = AuditEntry {
            time: Time::from_micros(i64::try_from(number).expect("small")),
            by: odd.to_owned(),
            detail: odd.to_owned(),
            ..AuditEntry::default()
        };
        writer
            .append(&[Entry::Audit(entry.clone())])
            .expect("saved");
        let latest = AuditQuery {
            at_most: 1,
            ..AuditQuery::default()
        };
        assert_eq!(
            reader
                .audit(&latest)
                .expect("the store can be read")
                .entries,
            [entry]
        );
        let attempt = AttemptId { job: id, number: 1 };
        let phase = PhaseRecord {
            number: 1,
            kind: odd.to_owned(),
            name: odd.to_owned(),
            log_offset: 0,
            started: std::time::Duration::ZERO,
            ended: None,
            cached: true,
        };
        let phases = vec![phase];
        writer
            .save_phases(&[ChangedPhases {
                attempt,
                phases: phases.clone(),
            }])
            .expect("saved");
        assert_eq!(
            reader.phases(attempt).expect("the store can be read"),
            phases
        );
    }
}
