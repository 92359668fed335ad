//! One scheduler's part, as lists of facts: what it is told, and what it does then.

use std::time::Duration;

use leadership::{
    AskId, Effect, Fence, HolderId, Leadership, RenewAnswer, Seen, Standbys, StepDownError,
    StopReason, TakeAnswer, Timing,
};
use pool::Time;

const ME: HolderId = HolderId(1);
const OTHER: HolderId = HolderId(2);

const ALONE: Standbys = Standbys {
    expected: 0,
    present: 0,
    cut_off: 0,
};
const ONE_STANDBY: Standbys = Standbys {
    expected: 1,
    present: 1,
    cut_off: 0,
};
const A_STANDBY_CUT_OFF: Standbys = Standbys {
    expected: 1,
    present: 1,
    cut_off: 1,
};

fn at(millis: u64) -> Time {
    Time::EPOCH + Duration::from_millis(millis)
}

/// The lease of the other scheduler.
fn lease(number: u64, renewals: u64) -> Seen {
    Seen {
        number,
        renewals,
        holder: Some(OTHER),
        has_expired: false,
        left: None,
    }
}

fn expired(number: u64) -> Seen {
    Seen {
        has_expired: true,
        ..lease(number, 9)
    }
}

fn standby() -> Leadership {
    Leadership::new(Timing::default(), at(0), ME)
}

/// Returns a leader with lease 7, which it has asked for at time 0.
fn leader(standbys: Standbys) -> (Leadership, Fence) {
    let mut leadership = standby();
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(expired(6)));
    let ask = take(&mut leadership);
    let taken = TakeAnswer::Taken {
        number: 7,
        standbys,
    };
    leadership.taken(at(0), ask, Some(taken));
    match leadership.next_effect() {
        Some(Effect::Lead(fence)) => (leadership, fence),
        other => panic!("expected to lead, found {other:?}"),
    }
}

fn look(leadership: &mut Leadership) -> AskId {
    match leadership.next_effect() {
        Some(Effect::Look(ask)) => ask,
        other => panic!("expected a look, found {other:?}"),
    }
}

fn take(leadership: &mut Leadership) -> AskId {
    match leadership.next_effect() {
        Some(Effect::Take(ask, _)) => ask,
        other => panic!("expected an attempt to take, found {other:?}"),
    }
}

fn renew(leadership: &mut Leadership) -> AskId {
    match leadership.next_effect() {
        Some(Effect::Renew(ask, _)) => ask,
        other => panic!("expected a renewal, found {other:?}"),
    }
}

fn resign(leadership: &mut Leadership) -> AskId {
    match leadership.next_effect() {
        Some(Effect::Resign(ask, _)) => ask,
        other => panic!("expected to resign, found {other:?}"),
    }
}

#[test]
fn a_free_lease_is_taken_and_renewed() {
    let (mut leadership, fence) = leader(ALONE);
    assert_eq!(
        (fence.number(), leadership.fence()),
        (7, Some(fence)),
        "the lease has the next number"
    );
    assert_eq!(leadership.leader(), Some(ME));
    // A second after the question, the next one follows.
    assert_eq!(leadership.next_deadline(), Some(at(1_000)));
    leadership.advance(at(999));
    assert_eq!(leadership.next_effect(), None);
    leadership.advance(at(1_000));
    let ask = renew(&mut leadership);
    leadership.renewed(at(1_200), ask, Some(RenewAnswer::Renewed(ALONE)));
    assert_eq!(leadership.next_deadline(), Some(at(2_000)));
    assert_eq!(leadership.confirmed(), Some(at(1_000)));
}

#[test]
fn a_lease_that_is_renewed_is_left_alone() {
    let mut leadership = standby();
    for step in 0..100 {
        let now = at(step * 500);
        leadership.advance(now);
        let ask = look(&mut leadership);
        leadership.looked(now, ask, Some(lease(6, step / 2)));
        assert_eq!(leadership.next_effect(), None);
        assert_eq!(leadership.fence(), None);
        assert_eq!(leadership.leader(), Some(OTHER));
    }
}

#[test]
fn a_lease_that_is_not_renewed_is_taken_though_the_database_says_that_it_is_valid() {
    // Its clock was set back.
    let mut leadership = standby();
    for step in 0..10 {
        let now = at(step * 500);
        leadership.advance(now);
        let ask = look(&mut leadership);
        leadership.looked(now, ask, Some(lease(6, 9)));
        assert_eq!(leadership.next_effect(), None, "after {step} looks");
    }
    leadership.advance(at(5_000));
    let ask = look(&mut leadership);
    leadership.looked(at(5_000), ask, Some(lease(6, 9)));
    take(&mut leadership);
}

#[test]
fn answers_that_are_late_prove_nothing() {
    // The look of 4 s is answered at 5.5 s: it shows only that the lease was not renewed for four seconds.
    let mut leadership = standby();
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(lease(6, 9)));
    leadership.advance(at(4_000));
    let ask = look(&mut leadership);
    leadership.looked(at(5_500), ask, Some(lease(6, 9)));
    assert_eq!(leadership.next_effect(), None);
}

#[test]
fn a_lease_lasts_from_when_it_was_asked_for() {
    let mut leadership = standby();
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(expired(6)));
    let ask = take(&mut leadership);
    let taken = TakeAnswer::Taken {
        number: 7,
        standbys: ONE_STANDBY,
    };
    leadership.taken(at(1_900), ask, Some(taken));
    assert_eq!(leadership.confirmed(), Some(at(0)));
}

#[test]
fn a_lease_of_an_earlier_process_is_taken_at_once() {
    let mut leadership = standby();
    let ask = look(&mut leadership);
    let mine = Seen {
        holder: Some(ME),
        ..lease(6, 9)
    };
    leadership.looked(at(0), ask, Some(mine));
    take(&mut leadership);
}

#[test]
fn the_slower_of_two_standbys_waits_on() {
    let mut leadership = standby();
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(expired(6)));
    let ask = take(&mut leadership);
    leadership.taken(at(10), ask, Some(TakeAnswer::Changed));
    assert_eq!(leadership.fence(), None);
    assert_eq!(leadership.next_deadline(), Some(at(500)));
}

#[test]
fn a_lease_whose_answer_is_lost_is_not_led_with() {
    let mut leadership = standby();
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(expired(6)));
    let lost = take(&mut leadership);
    leadership.advance(at(2_000));
    let ask = look(&mut leadership);
    // The answer comes after all, and is not asked for any more: by now the lease could be another's.
    let taken = TakeAnswer::Taken {
        number: 7,
        standbys: ALONE,
    };
    leadership.taken(at(2_100), lost, Some(taken));
    assert_eq!(leadership.fence(), None);
    // The next look shows whose it is; then it is taken again, with the next number.
    let mine = Seen {
        holder: Some(ME),
        ..lease(7, 0)
    };
    leadership.looked(at(2_200), ask, Some(mine));
    take(&mut leadership);
}

#[test]
fn a_leader_without_standbys_keeps_its_connections_while_the_database_is_away() {
    let (mut leadership, fence) = leader(ALONE);
    for step in 2..200 {
        let now = at(step * 500);
        leadership.advance(now);
        let ask = renew(&mut leadership);
        leadership.renewed(now, ask, None);
        assert_eq!(leadership.next_effect(), None);
    }
    assert_eq!(leadership.fence(), Some(fence));
    assert_eq!(leadership.confirmed(), Some(at(0)));
    // When the database is back, it goes on as if nothing had happened.
    leadership.advance(at(100_000));
    let ask = renew(&mut leadership);
    leadership.renewed(at(100_000), ask, Some(RenewAnswer::Renewed(ALONE)));
    assert_eq!(leadership.confirmed(), Some(at(100_000)));
}

#[test]
fn a_leader_with_a_standby_stops_when_its_lease_expires() {
    let (mut leadership, _) = leader(ONE_STANDBY);
    leadership.advance(at(1_000));
    // Refused at once, and asked again half a second later, ten times.
    while let Some(effect) = leadership.next_effect() {
        let Effect::Renew(ask, _) = effect else {
            panic!("expected a renewal, found {effect:?}");
        };
        let now = leadership.next_deadline().unwrap_or_default();
        leadership.renewed(now.min(at(4_999)), ask, None);
        leadership.advance(at(4_999));
    }
    assert!(leadership.fence().is_some());
    leadership.advance(at(5_000));
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::Expired))
    );
    assert_eq!(leadership.fence(), None);
    // It looks again when nothing of it is left, and not before.
    leadership.advance(at(9_000));
    assert_eq!(leadership.next_effect(), None);
    leadership.stopped(at(9_000));
    look(&mut leadership);
}

#[test]
fn a_leader_of_a_database_that_cannot_write_goes_on() {
    // No other scheduler can take the lease either.
    let (mut leadership, fence) = leader(ONE_STANDBY);
    for step in 2..100 {
        let now = at(step * 500);
        leadership.advance(now);
        let ask = renew(&mut leadership);
        leadership.renewed(now, ask, Some(RenewAnswer::ReadOnly));
    }
    assert_eq!(leadership.fence(), Some(fence));
}

#[test]
fn a_leader_that_was_frozen_stops_before_anything_else() {
    let (mut leadership, _) = leader(ONE_STANDBY);
    leadership.advance(at(60_000));
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::Expired))
    );
    assert_eq!(leadership.next_effect(), None);
}

#[test]
fn a_deposed_leader_stops() {
    let (mut leadership, _) = leader(ALONE);
    leadership.advance(at(1_000));
    let ask = renew(&mut leadership);
    leadership.renewed(at(1_001), ask, Some(RenewAnswer::Deposed));
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::Deposed))
    );

    let (mut leadership, _) = leader(ALONE);
    // A late answer to a write of the lease before.
    leadership.write_refused(at(100), 7);
    assert_eq!(leadership.next_effect(), None);
    leadership.write_refused(at(200), 8);
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::Deposed))
    );
}

#[test]
fn a_leader_steps_down_for_a_standby() {
    let (mut leadership, fence) = leader(ONE_STANDBY);
    assert_eq!(leadership.step_down(at(100)), Ok(()));
    assert_eq!(leadership.next_effect(), Some(Effect::Drain));
    // The write on its way may be finished.
    assert_eq!(leadership.fence(), Some(fence));
    leadership.drained(at(120));
    let ask = resign(&mut leadership);
    assert_eq!(leadership.fence(), None);
    leadership.resigned(at(130), ask);
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::StepDown))
    );
    leadership.stopped(at(140));
    // For five seconds it leaves the lease to others; then it takes it again if nobody has.
    let given_up = Seen {
        holder: None,
        ..expired(7)
    };
    let ask = look(&mut leadership);
    leadership.looked(at(140), ask, Some(given_up));
    assert_eq!(leadership.next_effect(), None);
    leadership.advance(at(5_140));
    let ask = look(&mut leadership);
    leadership.looked(at(5_140), ask, Some(given_up));
    take(&mut leadership);
}

#[test]
fn a_scheduler_that_has_stepped_down_takes_the_lease_back_at_once_if_its_successor_steps_down() {
    let (mut leadership, _) = leader(ONE_STANDBY);
    assert_eq!(leadership.step_down(at(0)), Ok(()));
    assert_eq!(leadership.next_effect(), Some(Effect::Drain));
    leadership.drained(at(0));
    let ask = resign(&mut leadership);
    leadership.resigned(at(0), ask);
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::StepDown))
    );
    leadership.stopped(at(0));
    let ask = look(&mut leadership);
    leadership.looked(at(1), ask, Some(lease(8, 0)));
    assert_eq!(leadership.next_effect(), None);
    leadership.woken(at(700));
    let ask = look(&mut leadership);
    let given_up = Seen {
        holder: None,
        ..lease(8, 0)
    };
    leadership.looked(at(701), ask, Some(given_up));
    take(&mut leadership);
}

#[test]
fn a_handover_waits_for_no_disk_and_no_answer() {
    let (mut leadership, _) = leader(ONE_STANDBY);
    assert_eq!(leadership.step_down(at(0)), Ok(()));
    assert_eq!(leadership.next_effect(), Some(Effect::Drain));
    assert_eq!(leadership.next_deadline(), Some(at(500)));
    leadership.advance(at(500));
    resign(&mut leadership);
    assert_eq!(leadership.next_deadline(), Some(at(2_500)));
    leadership.advance(at(2_500));
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::StepDown))
    );
}

#[test]
fn nobody_steps_down_without_a_standby() {
    let (mut leadership, _) = leader(ALONE);
    assert_eq!(leadership.step_down(at(100)), Err(StepDownError::NoStandby));
    assert_eq!(standby().step_down(at(0)), Err(StepDownError::NotLeading));
}

#[test]
fn a_standby_that_is_woken_looks_at_once() {
    let mut leadership = standby();
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(lease(6, 9)));
    leadership.woken(at(10));
    look(&mut leadership);
}

#[test]
fn a_leader_that_nobody_reaches_gives_up_its_lease() {
    let (mut leadership, _) = leader(ONE_STANDBY);
    leadership.peer_heard(at(900));
    leadership.advance(at(1_000));
    let ask = renew(&mut leadership);
    leadership.renewed(
        at(1_000),
        ask,
        Some(RenewAnswer::Renewed(A_STANDBY_CUT_OFF)),
    );
    assert_eq!(leadership.next_effect(), Some(Effect::Probe));
    for second in 2..4 {
        leadership.advance(at(second * 1_000));
        let ask = renew(&mut leadership);
        let answer = RenewAnswer::Renewed(A_STANDBY_CUT_OFF);
        leadership.renewed(at(second * 1_000), ask, Some(answer));
    }
    leadership.advance(at(4_000));
    let ask = resign(&mut leadership);
    leadership.resigned(at(4_010), ask);
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::CutOff))
    );
}

#[test]
fn a_leader_that_only_a_standby_does_not_reach_leads_on() {
    let (mut leadership, fence) = leader(ONE_STANDBY);
    for second in 1..60 {
        leadership.advance(at(second * 1_000));
        while let Some(effect) = leadership.next_effect() {
            match effect {
                Effect::Renew(ask, _) => {
                    let answer = RenewAnswer::Renewed(A_STANDBY_CUT_OFF);
                    leadership.renewed(at(second * 1_000 + 1), ask, Some(answer));
                }
                Effect::Probe => leadership.peer_heard(at(second * 1_000 + 2)),
                other => panic!("unexpected {other:?}"),
            }
            leadership.advance(at(second * 1_000 + 3));
        }
    }
    assert_eq!(leadership.fence(), Some(fence));
}

#[test]
fn a_program_that_ends_gives_up_its_lease() {
    let (mut leadership, _) = leader(ALONE);
    leadership.shut_down(at(100));
    assert_eq!(leadership.next_effect(), Some(Effect::Drain));
    leadership.drained(at(110));
    let ask = resign(&mut leadership);
    leadership.resigned(at(120), ask);
    assert_eq!(
        leadership.next_effect(),
        Some(Effect::Stop(StopReason::Shutdown))
    );
    leadership.stopped(at(130));
    leadership.advance(at(60_000));
    assert_eq!(leadership.next_effect(), None);
    assert_eq!(leadership.next_deadline(), None);

    let mut leadership = standby();
    look(&mut leadership);
    leadership.shut_down(at(0));
    assert_eq!(leadership.next_deadline(), None);
}

#[test]
fn what_an_earlier_process_has_left_to_others_is_left_to_them() {
    let mut leadership = standby();
    let left = |ago| Seen {
        holder: None,
        left: Some(Duration::from_millis(ago)),
        ..expired(6)
    };
    let ask = look(&mut leadership);
    leadership.looked(at(0), ask, Some(left(100)));
    assert_eq!(leadership.next_effect(), None);
    leadership.advance(at(500));
    let ask = look(&mut leadership);
    leadership.looked(at(500), ask, Some(left(5_000)));
    take(&mut leadership);
}
