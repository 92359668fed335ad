//! What every store must do with jobs.

use std::time::Duration;

use job_store::{Details, Label, Query, Reader, Sealer, State, Write, Writer};
use jobs::{
    Attempt, AttemptEnd, AttemptId, CancelledBy, Change, JobId, JobKey, Limit, Loss, LossReason,
    NewJob, Outcome, ReturnTimeouts, Saved, SavedStage, Terms, Unwatched, Verdict,
};
use pool::{CacheHint, ClientId, Time, WorkerName};

use crate::place::Place;

const SECRET: &[u8] = b"a secret that is nobody's business";

struct Store {
    place: Place,
    writer: Box<dyn Writer>,
    reader: Box<dyn Reader>,
}

impl Store {
    fn or_not_run() -> Option<Self> {
        let place = Place::or_not_run()?;
        let (writer, reader) = place.open();
        Some(Self {
            place,
            writer,
            reader,
        })
    }

    fn reopen(self) -> Self {
        let Self {
            place,
            writer,
            reader,
        } = self;
        drop((writer, reader));
        let (writer, reader) = place.open();
        Self {
            place,
            writer,
            reader,
        }
    }

    fn save(&mut self, changes: Vec<Change>) {
        let writes: Vec<_> = changes.into_iter().map(write).collect();
        self.writer.commit(&writes).expect("the disk takes it");
    }

    fn ids(&mut self, query: &Query) -> Vec<u64> {
        let page = self.reader.page(query).expect("the store can be read");
        page.ids().map(JobId::bits).collect()
    }
}

pub(crate) fn write(change: Change) -> Write {
    let details = match &change {
        Change::Submitted { new, .. } => Some(details(new.id)),
        _ => None,
    };
    Write::new(change, details)
}

fn details(id: JobId) -> Details {
    let label = |name: &str, value: String| Label {
        name: name.to_owned(),
        value,
    };
    Details {
        description: Sealer::new(b"key").seal(id, SECRET).expect("sealed"),
        kind: "docker".to_owned(),
        labels: vec![
            label("branch", "main".to_owned()),
            label("pr", (id.bits() % 3).to_string()),
        ],
    }
}

pub(crate) fn at(secs: i64) -> Time {
    Time::from_secs(secs)
}

pub(crate) fn id(number: u64) -> JobId {
    JobId::from_bits(number)
}

fn client(name: &str) -> ClientId {
    ClientId::new(name).expect("a good name")
}

fn new(number: u64) -> NewJob {
    NewJob {
        id: id(number),
        client: client(if number.is_multiple_of(2) {
            "alice"
        } else {
            "bob"
        }),
        pool: "linux".into(),
        hint: CacheHint::new("hint"),
        urgent: number.is_multiple_of(5),
        key: Some(JobKey::new(&format!("key {number}")).expect("a good key")),
        terms: Terms::default(),
    }
}

pub(crate) fn submitted(number: u64) -> Change {
    Change::Submitted {
        new: new(number).into(),
        at: at(number.cast_signed()),
    }
}

fn attempt(number: u32) -> Attempt {
    let worker = WorkerName::new("w1").expect("a good name");
    Attempt {
        number,
        worker,
        survives: true,
        started: at(100),
    }
}

pub(crate) fn assigned(job: u64, number: u32) -> Change {
    Change::Assigned {
        job: id(job),
        attempt: attempt(number),
    }
}

fn loss(number: u32, reason: LossReason) -> Loss {
    Loss {
        attempt: number,
        worker: attempt(number).worker,
        reason,
        at: at(200),
    }
}

pub(crate) fn ended(job: u64, outcome: Outcome) -> Change {
    Change::Ended {
        job: id(job),
        outcome,
        at: at(300),
    }
}

fn every_outcome() -> Vec<(Outcome, State)> {
    let text = |text: &str| text.into();
    let failed = |exit_code| {
        Outcome::Done(Verdict::Failed {
            detail: text("out of memory"),
            exit_code,
        })
    };
    vec![
        (
            Outcome::Done(Verdict::Succeeded(text("image@sha256:1"))),
            State::Succeeded,
        ),
        (failed(Some(2)), State::Failed),
        (failed(None), State::Failed),
        (
            Outcome::Done(Verdict::TimedOut {
                detail: text("after 1 h"),
            }),
            State::TimedOut,
        ),
        (
            Outcome::Done(Verdict::Refused {
                reason: text("no such kind"),
            }),
            State::Failed,
        ),
        (Outcome::Cancelled(CancelledBy::Client), State::Cancelled),
        (Outcome::Cancelled(CancelledBy::Operator), State::Cancelled),
        (Outcome::Cancelled(CancelledBy::Departure), State::Cancelled),
        (Outcome::TimedOut(Limit::Queue), State::TimedOut),
        (Outcome::TimedOut(Limit::Run), State::TimedOut),
        (Outcome::TimedOut(Limit::Silence), State::TimedOut),
        (
            Outcome::Lost(vec![loss(1, LossReason::Crashed)]),
            State::Lost,
        ),
    ]
}

/// What a change does to a row is what `Saved::apply` does to a value.
#[test]
fn what_was_saved_is_restored_in_order() {
    let terms = Terms {
        attempts: std::num::NonZeroU8::MIN,
        queue_limit: Some(Duration::from_secs(1)),
        run_limit: Some(Duration::from_millis(2)),
        silence_limit: Some(Duration::from_secs(3)),
        unwatched: Unwatched::Cancelled(ReturnTimeouts::default()),
    };
    let third = NewJob {
        terms,
        key: None,
        ..new(3)
    };
    let changes = vec![
        submitted(9),
        submitted(2),
        Change::Submitted {
            new: third.into(),
            at: at(3),
        },
        Change::Placed {
            job: id(2),
            fair_start: Time::from_micros(-7),
        },
        assigned(9, 1),
        Change::Requeued {
            job: id(9),
            since: at(200),
            loss: Some(loss(1, LossReason::NotHeld)),
        },
        assigned(9, 2),
        assigned(2, 1),
        Change::Requeued {
            job: id(2),
            since: at(201),
            loss: None,
        },
    ];
    let mut expected: Vec<Saved> = Vec::new();
    for change in &changes {
        match change {
            Change::Submitted { new, at } => expected.push(Saved::new((**new).clone(), *at)),
            change => expected
                .iter_mut()
                .filter(|saved| saved.new.id == change.job())
                .for_each(|saved| saved.apply(change)),
        }
    }
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    store.save(changes);
    let mut store = store.reopen();
    assert_eq!(
        store.writer.restore().expect("the store can be read"),
        expected
    );
    assert_eq!(expected[0].stage, SavedStage::Assigned(attempt(2)));
}

#[test]
fn every_outcome_is_read_as_it_was_written() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    for (number, (outcome, state)) in (1..).zip(every_outcome()) {
        store.save(vec![
            submitted(number),
            assigned(number, 1),
            ended(number, outcome.clone()),
        ]);
        let record = store
            .reader
            .record(id(number))
            .expect("the store can be read")
            .expect("it is kept");
        assert_eq!(record.end, Some((outcome.clone(), at(300))));
        assert_eq!(record.state, state);
        let end = record.attempts[0].end.clone().map(|(end, _)| end);
        match outcome {
            Outcome::Done(verdict) => assert_eq!(end, Some(AttemptEnd::Done(verdict))),
            Outcome::Lost(_) => assert_eq!(end, Some(AttemptEnd::Lost(LossReason::Crashed))),
            Outcome::Cancelled(_) | Outcome::TimedOut(_) => {
                assert_eq!(end, None, "its end is not known yet");
            }
        }
    }
    assert!(
        store
            .writer
            .restore()
            .expect("the store can be read")
            .is_empty(),
        "nothing goes on"
    );
}

#[test]
fn the_first_end_of_an_attempt_counts() {
    let reasons = [
        LossReason::WorkerGone,
        LossReason::NotHeld,
        LossReason::Interrupted,
        LossReason::Abandoned,
        LossReason::WorkerUnfit {
            problem: "no space".into(),
        },
        LossReason::Crashed,
    ];
    let ends = reasons
        .map(AttemptEnd::Lost)
        .into_iter()
        .chain([AttemptEnd::Stopped]);
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    for (number, end) in (1..).zip(ends) {
        let ended = |end, secs| Change::AttemptEnded {
            attempt: AttemptId {
                job: id(number),
                number: 1,
            },
            end,
            at: at(secs),
        };
        let late = AttemptEnd::Done(Verdict::Succeeded("late".into()));
        store.save(vec![
            submitted(number),
            assigned(number, 1),
            ended(end.clone(), 5),
            ended(late, 6),
        ]);
        let record = store
            .reader
            .record(id(number))
            .expect("the store can be read")
            .expect("it is kept");
        assert_eq!(record.attempts[0].end, Some((end, at(5))));
    }
}

#[test]
fn all_or_nothing_is_saved() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    store.save(vec![submitted(1)]);
    let twice = [write(submitted(2)), write(submitted(1))];
    store.writer.commit(&twice).expect_err("the id is taken");
    assert_eq!(
        store.writer.restore().expect("the store can be read").len(),
        1
    );
    store.save(vec![submitted(2)]);
}

#[test]
fn a_key_leads_to_its_job_also_when_that_has_ended() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    let key = JobKey::new("key 1").expect("a good key");
    store.save(vec![
        submitted(1),
        ended(1, Outcome::Cancelled(CancelledBy::Client)),
    ]);
    assert_eq!(
        store
            .reader
            .with_key(&client("bob"), &key)
            .expect("the store can be read"),
        Some(id(1))
    );
    assert_eq!(
        store
            .reader
            .with_key(&client("alice"), &key)
            .expect("the store can be read"),
        None
    );
    let same = NewJob {
        key: Some(key),
        client: client("bob"),
        ..new(7)
    };
    let again = write(Change::Submitted {
        new: same.into(),
        at: at(7),
    });
    store.writer.commit(&[again]).expect_err("one key, one job");
}

#[test]
fn a_description_is_sealed_and_wiped_when_it_is_not_needed_any_more() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    store.save(vec![submitted(1)]);
    let sealed = store
        .reader
        .description(id(1))
        .expect("the store can be read")
        .expect("it is kept");
    assert_eq!(
        Sealer::new(b"key").open(id(1), &sealed).as_deref(),
        Ok(SECRET)
    );
    // A job that succeeded is not retried; others may be.
    store.save(vec![
        submitted(2),
        ended(1, Outcome::Cancelled(CancelledBy::Client)),
        ended(2, Outcome::Done(Verdict::Succeeded("".into()))),
    ]);
    let is_kept = |store: &mut Store, number| {
        let submitted = store.reader.submitted(id(number));
        let submitted = submitted
            .expect("the store can be read")
            .expect("it is kept");
        assert_eq!(submitted.new, new(number));
        submitted.description.is_some()
    };
    assert_eq!(
        (is_kept(&mut store, 1), is_kept(&mut store, 2)),
        (true, false)
    );
    assert_eq!(store.writer.wipe(at(0), 10).expect("it can be written"), 0);
    assert_eq!(
        store.writer.wipe(at(1000), 10).expect("it can be written"),
        1
    );
    assert!(!is_kept(&mut store, 1));
    assert!(!store.place.holds(SECRET), "the secret is on the disk");
}

#[test]
fn pages_have_what_was_asked_for_the_latest_first() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    store.save((1..=12).map(submitted).collect());
    store.save(vec![
        assigned(1, 1),
        ended(2, Outcome::TimedOut(Limit::Queue)),
        ended(3, Outcome::Cancelled(CancelledBy::Client)),
    ]);
    let query = |at_most| Query {
        at_most,
        ..Query::default()
    };
    assert_eq!(store.ids(&query(3)), [12, 11, 10]);
    assert_eq!(
        store.ids(&Query {
            client: Some(client("alice")),
            ..query(3)
        }),
        [12, 10, 8]
    );
    assert_eq!(
        store.ids(&Query {
            states: vec![State::Running, State::Cancelled],
            ..query(9)
        }),
        [3, 1]
    );
    assert_eq!(
        store.ids(&Query {
            since: Some(at(11)),
            ..query(9)
        }),
        [12, 11]
    );
    let label = |name: &str, value: &str| Label {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let labels = vec![label("branch", "main"), label("pr", "1")];
    assert_eq!(
        store.ids(&Query {
            labels,
            client: Some(client("bob")),
            ..query(9)
        }),
        [7, 1]
    );
    assert!(
        store
            .ids(&Query {
                labels: vec![label("branch", "other")],
                ..query(9)
            })
            .is_empty()
    );

    let mut all = Vec::new();
    let mut asked = query(5);
    loop {
        let page = store.reader.page(&asked).expect("the store can be read");
        all.extend(page.ids().map(JobId::bits));
        match page.next {
            Some(next) => asked.before = Some(next),
            None => break,
        }
    }
    assert_eq!(all, (1..=12).rev().collect::<Vec<_>>());
}

#[test]
fn what_ended_long_ago_is_pruned_in_small_pieces() {
    let Some(mut store) = Store::or_not_run() else {
        return;
    };
    for number in 1..=5 {
        let outcome = Outcome::Cancelled(CancelledBy::Client);
        store.save(vec![
            submitted(number),
            Change::Ended {
                job: id(number),
                outcome,
                at: at(number.cast_signed()),
            },
        ]);
    }
    store.save(vec![submitted(6)]);
    let mut prune = |before| -> Vec<JobId> {
        let pruned = store
            .writer
            .prune(at(before), 2)
            .expect("the disk takes it");
        pruned.iter().map(|pruned| pruned.job).collect()
    };
    assert_eq!(prune(4), [id(1), id(2)]);
    assert_eq!(prune(4), [id(3)]);
    assert!(prune(4).is_empty());
    assert_eq!(
        store.ids(&Query {
            at_most: 9,
            ..Query::default()
        }),
        [6, 5, 4]
    );
}
