//! What a worker keeps, and for how long.

use std::time::Duration;

use jobs::{AttemptId, CancelReason, DeleteReason, JobId, Kept, KeptEffect, KeptLimits};
use pool::Time;

const GRACE: Duration = Duration::from_secs(300);

fn kept() -> Kept {
    let mut kept = Kept::new(KeptLimits {
        age: Duration::from_secs(1_000),
        bytes: 100,
        attempts: 3,
    });
    kept.connected(GRACE);
    kept
}

fn at(secs: i64) -> Time {
    Time::from_secs(secs)
}

fn attempt(number: u32) -> AttemptId {
    AttemptId {
        job: JobId::from_bits(7),
        number,
    }
}

fn effects(kept: &mut Kept) -> Vec<KeptEffect> {
    std::iter::from_fn(|| kept.next_effect()).collect()
}

fn deleted(number: u32, reason: DeleteReason) -> KeptEffect {
    KeptEffect::Delete {
        attempt: attempt(number),
        reason,
    }
}

fn cancelled(number: u32, reason: CancelReason) -> KeptEffect {
    KeptEffect::Cancel {
        attempt: attempt(number),
        reason,
    }
}

#[test]
fn an_end_is_kept_until_the_scheduler_has_it() {
    let mut kept = kept();
    kept.begin(attempt(1));
    kept.ended(at(10), attempt(1), 10);
    assert_eq!(
        (effects(&mut kept), kept.held()),
        (vec![], vec![attempt(1)])
    );
    kept.forget(attempt(1));
    assert_eq!(effects(&mut kept), [deleted(1, DeleteReason::Forgotten)]);
    assert_eq!((kept.held(), kept.next_deadline()), (vec![], None));
    kept.forget(attempt(1));
    assert_eq!(effects(&mut kept), []);
}

#[test]
fn what_runs_goes_on_for_the_grace_period() {
    let mut kept = kept();
    kept.begin(attempt(1));
    assert_eq!(kept.next_deadline(), None);
    kept.disconnected(at(10));
    // Attempts to connect that fail change nothing.
    kept.disconnected(at(200));
    assert_eq!(kept.next_deadline(), Some(at(310)));
    kept.advance(at(309));
    assert_eq!(effects(&mut kept), []);
    kept.connected(GRACE);
    kept.advance(at(1_000));
    assert_eq!(effects(&mut kept), [], "it has returned in time");

    kept.disconnected(at(2_000));
    kept.advance(at(2_300));
    assert_eq!(
        effects(&mut kept),
        [cancelled(1, CancelReason::SchedulerAway(GRACE))]
    );
    kept.advance(at(2_301));
    assert_eq!(effects(&mut kept), [], "once");
    kept.ended(at(2_302), attempt(1), 1);
    assert_eq!(kept.held(), [attempt(1)], "its end is kept");
}

#[test]
fn what_was_given_up_is_stopped_and_deleted_when_it_has_ended() {
    let mut kept = kept();
    kept.begin(attempt(1));
    kept.forget(attempt(1));
    assert_eq!(effects(&mut kept), [cancelled(1, CancelReason::GivenUp)]);
    assert_eq!((kept.held(), kept.has_running()), (vec![], true));
    kept.forget(attempt(1));
    assert_eq!(effects(&mut kept), []);
    kept.ended(at(10), attempt(1), 10);
    assert_eq!(effects(&mut kept), [deleted(1, DeleteReason::Forgotten)]);
    assert!(!kept.has_running());
}

#[test]
fn the_oldest_ends_are_deleted_when_they_take_too_much() {
    let mut kept = kept();
    kept.restore(attempt(2), at(1), 50);
    kept.restore(attempt(1), at(2), 30);
    kept.begin(attempt(3));
    kept.ended(at(3), attempt(3), 30);
    assert_eq!(effects(&mut kept), [deleted(2, DeleteReason::Size)]);
    for number in 4..=5 {
        kept.begin(attempt(number));
        kept.ended(at(4), attempt(number), 0);
    }
    assert_eq!(
        effects(&mut kept),
        [deleted(1, DeleteReason::Size)],
        "there may be three"
    );
    // What runs is never deleted.
    kept.begin(attempt(6));
    kept.advance(at(2_000));
    assert_eq!(effects(&mut kept).len(), 3);
    assert_eq!(kept.held(), [attempt(6)]);
}

#[test]
fn an_end_that_is_too_old_is_deleted() {
    let mut kept = kept();
    kept.restore(attempt(1), at(10), 50);
    assert_eq!(kept.next_deadline(), Some(at(1_010)));
    kept.advance(at(1_009));
    assert_eq!(effects(&mut kept), []);
    kept.advance(at(1_010));
    assert_eq!(effects(&mut kept), [deleted(1, DeleteReason::Age)]);
}
