//! Attached jobs in the history, beside the durable ones.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use job_store::{
    AttachedRecord, Committer, Details, FinishedAttempt, Query, Reader, Record, Report, Sealer,
    State, Write, Writer as _,
};
use jobs::{
    AttemptEnd, CancelledBy, Change, ChangeId, JobId, Loss, LossReason, NewJob, Outcome, Terms,
    Verdict,
};
use pool::{CacheHint, ClientId, Time, WorkerName};

use crate::place::Place;

pub(crate) fn at(secs: i64) -> Time {
    Time::from_secs(secs)
}

pub(crate) fn id(number: u64) -> JobId {
    JobId::from_bits(number)
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("a good name")
}

fn worker() -> WorkerName {
    WorkerName::new("w1").expect("a good name")
}

fn attached(number: u64) -> AttachedRecord {
    AttachedRecord {
        id: id(number),
        client: client("alice"),
        pool: "linux".into(),
        hint: CacheHint::new("repository"),
        kind: "docker".into(),
        urgent: true,
        submitted: at(10),
        attempt: None,
        end: None,
    }
}

pub(crate) fn running(number: u64) -> AttachedRecord {
    AttachedRecord {
        attempt: Some((worker(), at(20))),
        ..attached(number)
    }
}

fn ended(number: u64, outcome: Outcome) -> AttachedRecord {
    AttachedRecord {
        end: Some((outcome, at(30))),
        ..running(number)
    }
}

pub(crate) fn durable(number: u64) -> Write {
    let new = NewJob {
        id: id(number),
        client: client("alice"),
        pool: Arc::from("linux"),
        hint: CacheHint::new(""),
        urgent: false,
        key: None,
        terms: Terms::default(),
    };
    let details = Details {
        description: Sealer::new(b"key").seal(new.id, b"secret").expect("sealed"),
        kind: "docker".to_owned(),
        labels: Vec::new(),
    };
    Write::submitted(new, at(5), details)
}

pub(crate) fn record(reader: &mut impl Reader, number: u64) -> Record {
    let record = reader.record(id(number)).expect("the store can be read");
    record.expect("it was saved")
}

#[test]
fn an_attached_job_is_kept_as_it_was_last_saved() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut writer, mut reader) = place.open();
    let loss = Loss {
        attempt: 1,
        worker: worker(),
        reason: LossReason::WorkerGone,
        at: at(30),
    };
    let failed = Verdict::Failed {
        detail: "too large".into(),
        exit_code: Some(3),
    };
    let ends = [
        (
            Outcome::Done(failed.clone()),
            AttemptEnd::Done(failed),
            State::Failed,
        ),
        (
            Outcome::Cancelled(CancelledBy::Departure),
            AttemptEnd::Stopped,
            State::Cancelled,
        ),
        (
            Outcome::Lost(vec![loss]),
            AttemptEnd::Lost(LossReason::WorkerGone),
            State::Lost,
        ),
    ];
    for (number, (outcome, end, state)) in (1..).zip(ends) {
        writer.save_attached(&[attached(number)]).expect("saved");
        let seen = record(&mut reader, number);
        assert_eq!(seen.state, State::Queued);
        assert_eq!(seen, Record::from(attached(number)));
        writer.save_attached(&[running(number)]).expect("saved");
        let seen = record(&mut reader, number);
        assert_eq!(seen, Record::from(running(number)));
        assert_eq!((seen.state, seen.attempts.len()), (State::Running, 1));
        let last = ended(number, outcome.clone());
        writer
            .save_attached(std::slice::from_ref(&last))
            .expect("saved");
        let seen = record(&mut reader, number);
        assert_eq!(seen, Record::from(last), "it is shown like this before");
        assert_eq!((seen.attached, seen.state), (true, state));
        assert_eq!((seen.submitted, seen.urgent), (at(10), true));
        assert_eq!(seen.end, Some((outcome, at(30))));
        assert_eq!(seen.attempts.len(), 1);
        let attempt = seen.attempts.first().expect("it has one");
        assert_eq!((attempt.worker.as_str(), attempt.started), ("w1", at(20)));
        assert_eq!(attempt.end, Some((end, at(30))));
    }
}

#[test]
fn attached_jobs_are_in_the_history_and_are_not_restored() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut writer, mut reader) = place.open();
    writer.commit(&[durable(1)]).expect("saved");
    let succeeded = Outcome::Done(Verdict::Succeeded("".into()));
    let records = [attached(2), running(3), ended(4, succeeded.clone())];
    writer.save_attached(&records).expect("saved");
    // Another job with the same id is left alone.
    writer.save_attached(&[running(1)]).expect("saved");
    assert!(record(&mut reader, 1).attempts.is_empty());
    let query = Query {
        client: Some(client("alice")),
        at_most: 9,
        ..Query::default()
    };
    let page = reader.page(&query).expect("the store can be read");
    let seen: Vec<_> = page
        .records
        .iter()
        .map(|record| (record.id.bits(), record.attached))
        .collect();
    assert_eq!(seen, [(4, true), (3, true), (2, true), (1, false)]);
    drop((writer, reader));

    // The next scheduler ends what this one had.
    let (mut writer, mut reader) = place.open();
    let saved = writer.restore().expect("the store can be read");
    let restored: Vec<_> = saved.iter().map(|saved| saved.new.id.bits()).collect();
    assert_eq!(restored, [1]);
    assert_eq!(writer.end_attached(at(50)).expect("saved"), 2);
    assert_eq!(
        record(&mut reader, 2).end,
        Some((Outcome::Lost(Vec::new()), at(50)))
    );
    let lost = Loss {
        attempt: 1,
        worker: worker(),
        reason: LossReason::SchedulerRestarted,
        at: at(50),
    };
    assert_eq!(
        record(&mut reader, 3).end,
        Some((Outcome::Lost(vec![lost]), at(50)))
    );
    assert_eq!(record(&mut reader, 4).end, Some((succeeded, at(30))));
    assert_eq!(record(&mut reader, 1).state, State::Queued);
    assert_eq!(writer.end_attached(at(60)).expect("saved"), 0);

    // They are forgotten like durable ones.
    let pruned = writer.prune(at(40), 10).expect("the disk takes it");
    let pruned: Vec<_> = pruned
        .iter()
        .map(|pruned| (pruned.job.bits(), pruned.attempts))
        .collect();
    assert_eq!(pruned, [(4, 1)]);
}

#[test]
fn the_thread_saves_attached_jobs_between_changes_and_at_its_end() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (writer, mut reader) = place.open();
    let (reports, received) = mpsc::channel();
    let report = move |report| reports.send(report).unwrap_or_default();
    let committer = Committer::start(writer, report).expect("a thread");
    committer.save_attached(vec![attached(1), running(2)]);
    let first = received.recv_timeout(Duration::from_secs(60));
    assert_eq!(first, Ok(Report::AttachedSaved(Ok(()))));
    committer.save(vec![(ChangeId(1), durable(3))]);
    let cancelled = Change::Ended {
        job: id(3),
        outcome: Outcome::Cancelled(CancelledBy::Client),
        at: at(7),
    };
    committer.save(vec![(ChangeId(2), Write::new(cancelled, None))]);
    committer.save_attached(vec![attached(4)]);
    drop(committer);
    let reports: Vec<_> = received.iter().collect();
    assert!(
        reports.contains(&Report::Committed(ChangeId(2))),
        "{reports:?}"
    );
    assert!(
        reports.contains(&Report::AttachedSaved(Ok(()))),
        "{reports:?}"
    );
    assert!(record(&mut reader, 4).attached);
}

#[test]
fn attempts_that_ran_to_their_end_are_found_with_their_hints() {
    let Some(place) = Place::or_not_run() else {
        return;
    };
    let (mut writer, mut reader) = place.open();
    let failed = Verdict::Failed {
        detail: "".into(),
        exit_code: None,
    };
    let records = [
        ended(1, Outcome::Done(failed)),
        running(2),
        ended(3, Outcome::Cancelled(CancelledBy::Client)),
        AttachedRecord {
            attempt: Some((worker(), at(10))),
            ..ended(4, Outcome::Done(Verdict::Succeeded("".into())))
        },
    ];
    writer.save_attached(&records).expect("saved");
    let mut finished = |at_most| reader.finished(at_most).expect("the store can be read");
    let attempt = |started| FinishedAttempt {
        pool: "linux".to_owned(),
        client: "alice".to_owned(),
        hint: "repository".to_owned(),
        worker: worker().to_string(),
        started: at(started),
        ended: at(30),
    };
    // The first to start comes first.
    assert_eq!(finished(10), [attempt(10), attempt(20)]);
    assert_eq!(finished(0), []);
}
