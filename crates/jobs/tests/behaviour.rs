//! What becomes of a job, case by case.

use std::time::Duration;

use jobs::{
    AttemptEnd, AttemptId, CancelError, CancelledBy, Change, ChangeId, Config, Departure, Effect,
    Held, HeldAnswer, HeldState, IdError, JobId, JobKey, Jobs, Limit, LossReason, NewJob, Outcome,
    RequestId, ReturnTimeouts, Saved, Stage, Terms, Unwatched, Verdict,
};
use pool::{CacheHint, ClientId, Time, WorkerName};

const JOB: JobId = JobId::from_bits(7);
const REQUEST: RequestId = RequestId(1);
const POOL: &str = "pool";

/// Jobs on a disk that takes everything at once.
struct Story {
    jobs: Jobs,
    saved: Vec<Change>,
    told: Vec<Effect>,
}

impl Story {
    fn new() -> Self {
        Self {
            jobs: Jobs::new(Config::default()),
            saved: Vec::new(),
            told: Vec::new(),
        }
    }

    /// A job with these terms waits.
    fn queued(terms: Terms) -> Self {
        let mut story = Self::new();
        story.jobs.submit(at(0), new(JOB, None, terms), REQUEST);
        story.settle();
        story
    }

    /// A job with these terms runs on w1, which keeps it while its connection is broken.
    fn running(terms: Terms) -> Self {
        let mut story = Self::queued(terms);
        story.jobs.assign(at(0), JOB, &worker(), true);
        story.settle();
        story
    }

    /// Saves everything, and keeps what is told.
    fn settle(&mut self) {
        loop {
            let mut last = None;
            while let Some(effect) = self.jobs.next_effect() {
                match effect {
                    Effect::Save(number, change) => {
                        self.saved.push(change);
                        last = Some(number);
                    }
                    effect => self.told.push(effect),
                }
            }
            self.jobs.check().expect("every invariant holds");
            match last {
                Some(last) => self.jobs.committed(last),
                None => return,
            }
        }
    }

    fn advance(&mut self, secs: i64) {
        self.jobs.advance(at(secs));
        self.settle();
    }

    /// Returns how the job ended, as its watchers were told.
    fn outcome(&self) -> Option<&Outcome> {
        self.told.iter().find_map(|effect| match effect {
            Effect::Changed {
                stage: Stage::Ended { outcome, .. },
                ..
            } => Some(outcome),
            _ => None,
        })
    }

    fn was_told(&self, effect: &Effect) -> bool {
        self.told.contains(effect)
    }
}

fn at(secs: i64) -> Time {
    Time::from_secs(secs)
}

fn worker() -> WorkerName {
    WorkerName::new("w1").expect("a good name")
}

fn attempt(number: u32) -> AttemptId {
    AttemptId { job: JOB, number }
}

fn new(id: JobId, key: Option<&str>, terms: Terms) -> NewJob {
    NewJob {
        id,
        client: ClientId::new("alice").expect("a good name"),
        pool: POOL.into(),
        hint: CacheHint::new("hint"),
        urgent: false,
        key: key.map(|key| JobKey::new(key).expect("a good key")),
        terms,
    }
}

fn success() -> AttemptEnd {
    AttemptEnd::Done(Verdict::Succeeded("image".into()))
}

#[test]
fn a_job_from_its_submission_to_its_end() {
    let mut story = Story::running(Terms::default());
    assert!(story.was_told(&Effect::Answer {
        request: REQUEST,
        job: JOB
    }));
    assert!(story.was_told(&Effect::Start {
        attempt: attempt(1),
        worker: worker()
    }));
    story
        .jobs
        .attempt_ended(at(60), attempt(1), &worker(), success());
    story.settle();
    assert_eq!(
        story.outcome(),
        Some(&Outcome::Done(Verdict::Succeeded("image".into())))
    );
    let acknowledged = Effect::Acknowledge {
        attempt: attempt(1),
        worker: worker(),
    };
    assert!(!story.was_told(&acknowledged), "its log is not kept yet");
    story.jobs.log_kept(attempt(1), &worker());
    story.settle();
    assert!(story.was_told(&acknowledged));
    assert!(story.jobs.is_empty(), "what has ended is not in memory");
}

#[test]
fn limits_end_a_job_in_time_and_not_before() {
    let limit = Some(Duration::from_secs(100));
    let queue = Terms {
        queue_limit: limit,
        ..Terms::default()
    };
    let run = Terms {
        run_limit: limit,
        ..Terms::default()
    };
    let silence = Terms {
        silence_limit: limit,
        ..Terms::default()
    };
    let stories = [
        (Story::queued(queue), Limit::Queue),
        (Story::running(run), Limit::Run),
        (Story::running(silence), Limit::Silence),
    ];
    for (mut story, limit) in stories {
        assert_eq!(story.jobs.next_deadline(), Some(at(100)));
        story.advance(99);
        assert_eq!(story.outcome(), None, "{limit:?}");
        story.advance(100);
        assert_eq!(story.outcome(), Some(&Outcome::TimedOut(limit)));
    }
}

#[test]
fn a_log_that_grows_is_not_silent() {
    let mut story = Story::running(Terms {
        silence_limit: Some(Duration::from_secs(100)),
        ..Terms::default()
    });
    story.jobs.log_grew(at(50), attempt(1));
    story.advance(149);
    assert_eq!(story.outcome(), None);
    story.advance(150);
    assert_eq!(story.outcome(), Some(&Outcome::TimedOut(Limit::Silence)));
}

#[test]
fn a_job_whose_client_has_left_is_cancelled_if_that_was_asked_for() {
    let attached = Terms {
        unwatched: Unwatched::Cancelled(ReturnTimeouts::default()),
        ..Terms::default()
    };
    for (departure, timeouts) in [(Departure::Closed, 15), (Departure::Silent, 600)] {
        let mut story = Story::running(attached.clone());
        story.jobs.unwatch(at(10), JOB, departure);
        story.advance(10 + timeouts - 1);
        assert_eq!(story.outcome(), None, "{departure:?}");
        story.jobs.watch(JOB);
        story.advance(10_000);
        assert_eq!(story.outcome(), None, "it came back");
        story.jobs.unwatch(at(20_000), JOB, departure);
        story.advance(20_000 + timeouts);
        assert_eq!(
            story.outcome(),
            Some(&Outcome::Cancelled(CancelledBy::Departure))
        );
        assert!(story.was_told(&Effect::Stop {
            attempt: attempt(1),
            worker: worker()
        }));
    }
    let mut detached = Story::running(Terms::default());
    detached.jobs.unwatch(at(10), JOB, Departure::Closed);
    detached.advance(1_000_000);
    assert_eq!(detached.outcome(), None);
}

#[test]
fn the_same_key_is_the_same_job() {
    let mut story = Story::new();
    assert_eq!(
        story
            .jobs
            .submit(at(0), new(JOB, Some("build-1"), Terms::default()), REQUEST),
        JOB
    );
    let again = new(JobId::from_bits(8), Some("build-1"), Terms::default());
    assert_eq!(story.jobs.submit(at(1), again, RequestId(2)), JOB);
    story.settle();
    assert!(story.was_told(&Effect::Answer {
        request: RequestId(2),
        job: JOB
    }));
    assert_eq!(story.jobs.len(), 1);
}

#[test]
fn nothing_waits_for_a_submission_that_was_refused() {
    let mut story = Story::new();
    story
        .jobs
        .submit(at(0), new(JOB, Some("key"), Terms::default()), REQUEST);
    story.settle();
    let refused = JobId::from_bits(8);
    let also_refused = new(refused, Some("other"), Terms::default());
    story.jobs.submit(at(1), also_refused, RequestId(2));
    // It waits for what was asked for before.
    let again = new(JobId::from_bits(9), Some("key"), Terms::default());
    story.jobs.submit(at(1), again.clone(), RequestId(3));
    let effects: Vec<_> = std::iter::from_fn(|| story.jobs.next_effect()).collect();
    let [Effect::Save(last, _), Effect::Enqueue { .. }] = effects[..] else {
        panic!("one change, and no answer: {effects:?}")
    };
    story.jobs.not_committed(last);
    story.jobs.submit(at(2), again, RequestId(4));
    story.settle();
    for request in [3, 4].map(RequestId) {
        assert!(story.was_told(&Effect::Answer { request, job: JOB }));
    }
}

#[test]
fn a_submission_that_cannot_be_saved_is_refused_and_nothing_else_is() {
    let mut story = Story::running(Terms::default());
    let refused = JobId::from_bits(8);
    story.jobs.submit(
        at(1),
        new(refused, Some("key"), Terms::default()),
        RequestId(2),
    );
    story
        .jobs
        .cancel(at(1), JOB, CancelledBy::Client, RequestId(3))
        .expect("it runs");
    let effects: Vec<_> = std::iter::from_fn(|| story.jobs.next_effect()).collect();
    let numbers = effects.iter().filter_map(|effect| match effect {
        Effect::Save(number, _) => Some(*number),
        _ => None,
    });
    let last: ChangeId = numbers.max().expect("something is to be saved");
    story.jobs.not_committed(last);
    let refuse = Effect::Refuse {
        request: RequestId(2),
        job: refused,
    };
    let effects: Vec<_> = std::iter::from_fn(|| story.jobs.next_effect()).collect();
    assert_eq!(
        effects,
        [Effect::Withdraw { job: refused }, refuse],
        "the cancellation waits"
    );
    story.jobs.committed(last);
    story.settle();
    assert!(story.was_told(&Effect::Answer {
        request: RequestId(3),
        job: JOB
    }));
    assert_eq!(
        story.outcome(),
        Some(&Outcome::Cancelled(CancelledBy::Client))
    );
}

#[test]
fn a_worker_is_chosen_while_the_submission_is_on_its_way_to_the_disk() {
    let mut story = Story::new();
    story
        .jobs
        .submit(at(0), new(JOB, None, Terms::default()), REQUEST);
    story.jobs.assign(at(0), JOB, &worker(), true);
    let effects: Vec<_> = std::iter::from_fn(|| story.jobs.next_effect()).collect();
    let [
        Effect::Save(_, Change::Submitted { .. }),
        Effect::Enqueue { .. },
        Effect::Save(last, Change::Assigned { .. }),
    ] = effects[..]
    else {
        panic!("nobody is told before both are on disk: {effects:?}")
    };
    // Its worker did not get it, and waits for another job.
    story.jobs.not_committed(last);
    let effects: Vec<_> = std::iter::from_fn(|| story.jobs.next_effect()).collect();
    let refuse = Effect::Refuse {
        request: REQUEST,
        job: JOB,
    };
    let unassign = Effect::Unassign {
        attempt: attempt(1),
        worker: worker(),
    };
    assert_eq!(effects, [refuse, unassign]);
    story.jobs.check().expect("every invariant holds");
    assert!(story.jobs.is_empty());
}

#[test]
fn a_job_that_is_cancelled_does_not_succeed_any_more() {
    let mut story = Story::running(Terms::default());
    story
        .jobs
        .cancel(at(1), JOB, CancelledBy::Operator, RequestId(2))
        .expect("it runs");
    story
        .jobs
        .attempt_ended(at(2), attempt(1), &worker(), success());
    story.settle();
    assert_eq!(
        story.outcome(),
        Some(&Outcome::Cancelled(CancelledBy::Operator))
    );
    let again = story
        .jobs
        .cancel(at(3), JOB, CancelledBy::Operator, RequestId(3));
    assert_eq!(again, Err(CancelError::Ended));
}

/// Else a client would know of an end that a crash may undo.
#[test]
fn that_a_job_has_ended_is_answered_when_that_is_on_disk() {
    let mut story = Story::running(Terms::default());
    story
        .jobs
        .attempt_ended(at(1), attempt(1), &worker(), success());
    let asked = story
        .jobs
        .cancel(at(2), JOB, CancelledBy::Client, RequestId(2));
    assert_eq!(asked, Ok(()));
    let effects: Vec<_> = std::iter::from_fn(|| story.jobs.next_effect()).collect();
    let [Effect::Save(last, _)] = effects[..] else {
        panic!("one change, and no answer: {effects:?}")
    };
    story.jobs.committed(last);
    story.settle();
    assert!(story.was_told(&Effect::AnswerEnded {
        request: RequestId(2),
        job: JOB
    }));
    assert!(matches!(
        story.outcome(),
        Some(Outcome::Done(Verdict::Succeeded(_)))
    ));
}

#[test]
fn a_request_to_cancel_what_was_refused_is_refused() {
    let mut story = Story::new();
    story
        .jobs
        .submit(at(0), new(JOB, None, Terms::default()), REQUEST);
    for request in [2, 3].map(RequestId) {
        let asked = story.jobs.cancel(at(0), JOB, CancelledBy::Client, request);
        assert_eq!(asked, Ok(()));
    }
    let numbers = std::iter::from_fn(|| story.jobs.next_effect());
    let numbers = numbers.filter_map(|effect| match effect {
        Effect::Save(number, _) => Some(number),
        _ => None,
    });
    let last = numbers.max().expect("something is to be saved");
    story.jobs.not_committed(last);
    story.settle();
    for request in [1, 2, 3].map(RequestId) {
        assert!(story.was_told(&Effect::Refuse { request, job: JOB }));
    }
    assert_eq!(story.jobs.len(), 0);
}

#[test]
fn a_worker_that_returns_in_time_goes_on() {
    let mut story = Story::running(Terms::default());
    story.jobs.worker_left(at(10), POOL, &worker());
    story.advance(309);
    let held = vec![Held {
        attempt: attempt(1),
        state: HeldState::Running,
    }];
    story
        .jobs
        .worker_returned(at(309), POOL, &worker(), held, RequestId(2));
    story.settle();
    assert!(story.was_told(&Effect::AnswerReturn {
        request: RequestId(2),
        held: vec![HeldAnswer::Keep]
    }));
    story.advance(10_000);
    assert!(matches!(story.jobs.stage(JOB), Some(Stage::Running(_))));
}

#[test]
fn an_end_from_before_the_return_counts_when_its_log_is_here() {
    let mut story = Story::running(Terms::default());
    story.jobs.worker_left(at(10), POOL, &worker());
    let held = vec![Held {
        attempt: attempt(1),
        state: HeldState::Ended(success()),
    }];
    story
        .jobs
        .worker_returned(at(20), POOL, &worker(), held, RequestId(2));
    story.settle();
    assert!(story.was_told(&Effect::AnswerReturn {
        request: RequestId(2),
        held: vec![HeldAnswer::Keep]
    }));
    assert_eq!(story.outcome(), None, "its log is not here yet");
    story
        .jobs
        .attempt_ended(at(21), attempt(1), &worker(), success());
    story.settle();
    assert_eq!(
        story.outcome(),
        Some(&Outcome::Done(Verdict::Succeeded("image".into())))
    );
}

#[test]
fn workers_of_two_pools_with_the_same_name_are_told_apart() {
    let mut story = Story::running(Terms::default());
    story.jobs.worker_left(at(10), "other", &worker());
    assert!(matches!(story.jobs.stage(JOB), Some(Stage::Running(_))));
    story
        .jobs
        .worker_returned(at(20), "other", &worker(), Vec::new(), RequestId(2));
    story.settle();
    assert!(matches!(story.jobs.stage(JOB), Some(Stage::Running(_))));
}

#[test]
fn what_a_worker_kept_is_lost_when_one_comes_that_keeps_nothing() {
    let mut story = Story::running(Terms::default());
    story.jobs.worker_replaced(at(5), POOL, &worker());
    assert!(matches!(story.jobs.stage(JOB), Some(Stage::Running(_))));
    story.jobs.worker_left(at(10), POOL, &worker());
    story.jobs.worker_replaced(at(20), POOL, &worker());
    story.settle();
    assert_eq!(
        story.jobs.stage(JOB),
        Some(&Stage::Queued { since: at(20) })
    );
}

#[test]
fn a_worker_that_returns_too_late_forgets() {
    let mut story = Story::running(Terms::default());
    story.jobs.worker_left(at(10), POOL, &worker());
    story.advance(310);
    assert_eq!(
        story.jobs.stage(JOB),
        Some(&Stage::Queued { since: at(310) })
    );
    let held = vec![Held {
        attempt: attempt(1),
        state: HeldState::Ended(success()),
    }];
    story
        .jobs
        .worker_returned(at(311), POOL, &worker(), held, RequestId(2));
    story.settle();
    assert!(story.was_told(&Effect::AnswerReturn {
        request: RequestId(2),
        held: vec![HeldAnswer::Forget]
    }));
    assert_eq!(story.outcome(), None);
}

#[test]
fn a_job_that_loses_its_workers_ends_as_lost_and_says_how() {
    let mut story = Story::queued(Terms::default());
    for number in 1..=3 {
        assert_eq!(
            story.jobs.assign(at(0), JOB, &worker(), false),
            Some(attempt(number))
        );
        story.settle();
        story
            .jobs
            .worker_left(at(i64::from(number)), POOL, &worker());
        story.settle();
    }
    let Some(Outcome::Lost(losses)) = story.outcome() else {
        panic!("it ended as {:?}", story.outcome())
    };
    let lost: Vec<_> = losses
        .iter()
        .map(|loss| (loss.attempt, &loss.reason, loss.at))
        .collect();
    let gone = &LossReason::WorkerGone;
    assert_eq!(lost, [(1, gone, at(1)), (2, gone, at(2)), (3, gone, at(3))]);
}

#[test]
fn a_restart_keeps_order_attempts_and_places() {
    let first = Saved {
        fair_start: Some(at(5)),
        ..Saved::new(new(JOB, None, Terms::default()), at(0))
    };
    let second = Saved::new(new(JobId::from_bits(8), None, Terms::default()), at(1));
    let mut jobs = Jobs::restore(Config::default(), at(100), vec![first, second]);
    let effects: Vec<_> = std::iter::from_fn(|| jobs.next_effect()).collect();
    let places = effects.iter().filter_map(|effect| match effect {
        Effect::Enqueue {
            job, fair_start, ..
        } => Some((job.bits(), *fair_start)),
        _ => None,
    });
    assert_eq!(places.collect::<Vec<_>>(), [(7, Some(at(5))), (8, None)]);
}

#[test]
fn ids_are_read_as_they_are_written() {
    let id = JobId::from_bits(0x0123_4567_89ab_cdef);
    assert_eq!(id.to_string(), "28t5cy4tqkff");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!("28t".parse::<JobId>(), Err(IdError::Length(3)));
    assert_eq!(
        "28t5cy4tqkfi".parse::<JobId>(),
        Err(IdError::Character('i'))
    );
}

#[test]
fn the_beginning_of_an_id_is_a_range_of_ids() {
    let id = JobId::from_bits(0x0123_4567_89ab_cdef);
    for length in 1..=12 {
        let text = &id.to_string()[..length];
        let (first, last) = JobId::beginning_with(text).expect("a beginning");
        assert!((first..=last).contains(&id), "{text}");
        assert!(
            first.to_string().starts_with(text) && last.to_string().starts_with(text),
            "{text}"
        );
    }
    assert_eq!(JobId::beginning_with(&id.to_string()), Some((id, id)));
    for text in ["", "28t5cy4tqkff0", "u", "28 ", "é"] {
        assert_eq!(JobId::beginning_with(text), None, "{text:?}");
    }
}

#[test]
fn a_job_that_no_worker_can_run_is_refused_in_the_queue_and_only_there() {
    let mut queued = Story::queued(Terms::default());
    queued.jobs.refuse(at(1), JOB, "another key");
    queued.settle();
    let reason = "another key".into();
    assert_eq!(
        queued.outcome(),
        Some(&Outcome::Done(Verdict::Refused { reason }))
    );
    let mut running = Story::running(Terms::default());
    running.jobs.refuse(at(1), JOB, "another key");
    running.settle();
    assert_eq!(running.outcome(), None);
}

#[test]
fn what_happens_is_counted() {
    let mut story = Story::running(Terms::default());
    let stats = story.jobs.stats();
    assert_eq!((stats.queued, stats.running, stats.away), (0, 1, 0));
    // Its worker leaves and returns, and loses it later.
    story.jobs.worker_left(at(1), POOL, &worker());
    assert_eq!(story.jobs.stats().away, 1);
    let held = Held {
        attempt: attempt(1),
        state: HeldState::Running,
    };
    story
        .jobs
        .worker_returned(at(2), POOL, &worker(), vec![held], REQUEST);
    story.settle();
    let lost = AttemptEnd::Lost(LossReason::Crashed);
    story.jobs.attempt_ended(at(3), attempt(1), &worker(), lost);
    story.settle();
    let stats = story.jobs.stats();
    assert_eq!(
        (stats.queued, stats.totals.adopted, stats.totals.retried),
        (1, 1, 1)
    );
    // The worker keeps the end until its log is on disk.
    assert_eq!(stats.oldest_unacknowledged, Some(at(3)));
    story.jobs.log_kept(attempt(1), &worker());
    story.settle();
    assert_eq!(story.jobs.stats().oldest_unacknowledged, None);
    // The second attempt succeeds.
    story.jobs.assign(at(4), JOB, &worker(), true);
    story.settle();
    story
        .jobs
        .attempt_ended(at(5), attempt(2), &worker(), success());
    story.settle();
    assert_eq!(story.jobs.stats().totals.succeeded, 1);
    assert_eq!(story.jobs.len(), 0);
}
