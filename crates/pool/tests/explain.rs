//! Why tickets wait, as facts.

#[expect(dead_code, reason = "other suites use more of its words")]
mod story;

use std::time::Duration;

use pool::{
    Ahead, CacheHint, ChosenFacts, ClientId, PassedFacts, PastJob, TicketFacts, TicketId, Time,
};
use story::{Story, WORKER, worker};

fn ahead(all: usize, urgent: usize, own: usize, by_share: usize) -> Ahead {
    Ahead {
        all,
        urgent,
        own,
        by_share,
    }
}

fn facts(s: &Story, ticket: TicketId) -> TicketFacts {
    let all = s.pool.wait_facts(usize::MAX);
    let found = all.tickets.into_iter().find(|facts| facts.ticket == ticket);
    found.unwrap()
}

#[test]
fn what_is_ahead() {
    let mut s = Story::new();
    let a1 = s.submit("a", "a1", "");
    let a2 = s.submit("a", "a2", "");
    let a3 = s.submit("a", "a3", "");
    let b1 = s.submit("b", "b1", "");
    let b2 = s.submit("b", "b2", "");
    // In order: a1, b1, a2, b2, a3. What b submitted later goes before what a did, which has used more of its share.
    assert_eq!(facts(&s, a1).ahead, ahead(0, 0, 0, 0));
    assert_eq!(facts(&s, b1).ahead, ahead(1, 0, 0, 0));
    assert_eq!(facts(&s, a2).ahead, ahead(2, 0, 1, 1));
    assert_eq!(facts(&s, b2).ahead, ahead(3, 0, 1, 0));
    assert_eq!(facts(&s, a3).ahead, ahead(4, 0, 2, 2));

    // One that is urgent goes before all of them, and not because of its client's share.
    let u1 = s.submit_urgent("b", "u1", "");
    assert_eq!(facts(&s, u1).ahead, ahead(0, 0, 0, 0));
    assert_eq!(facts(&s, a2).ahead, ahead(3, 1, 1, 1));

    // Nor does a job whose worker was lost.
    let again = s.submit_again("c", "c1", 0, true);
    assert_eq!(facts(&s, again).ahead, ahead(3, 1, 0, 0));
    assert_eq!(facts(&s, a3).ahead, ahead(6, 1, 2, 2));

    // Those far behind are counted, and no more.
    let all = s.pool.wait_facts(2);
    assert_eq!((all.tickets.len(), all.backlog, all.urgent), (2, 7, 1));
}

#[test]
fn whom_a_ticket_waits_for() {
    let mut s = Story::new();
    let w1 = s.reg("w1");
    let popped = s.pop(w1);
    s.submit("u", "job1", "hint");
    s.pause();
    assert_eq!(s.answer(popped), "job1");
    let w2 = s.reg("w2");
    let _waiting = s.pop(w2);
    s.pause();
    let second = s.submit("u", "job2", "hint");
    let third = s.submit("u", "job3", "hint");
    let chosen = ChosenFacts {
        worker: worker("w1"),
        is_preferred: true,
        until: Time::from_secs(1 + 8),
        saves: Duration::from_secs(8),
    };
    assert_eq!(facts(&s, second).chosen, Some(chosen.clone()));
    assert_eq!(facts(&s, third).chosen, Some(chosen));
    assert_eq!(facts(&s, third).ahead, ahead(1, 0, 1, 0));

    let all = s.pool.wait_facts(usize::MAX);
    assert_eq!((all.backlog, all.next_move), (0, Some(Time::from_secs(9))));
    let [first, other] = &all.workers[..] else {
        panic!("{:?}", all.workers)
    };
    assert_eq!((first.running, first.asks_for, first.queued), (1, 0, 2));
    assert_eq!((other.running, other.asks_for, other.queued), (0, 1, 0));
    s.deactivate(w2, WORKER);
    let workers = s.pool.wait_facts(0).workers;
    assert!(!workers[1].reasons.is_empty() && workers[0].reasons.is_empty());
    s.end();
}

fn teach(s: &mut Story, hint: &str, is_warm: bool, seconds: u64) {
    s.pool.teach(&PastJob {
        client: ClientId::new("u").unwrap(),
        hint: CacheHint::new(hint),
        is_warm,
        took: Duration::from_secs(seconds),
    });
}

#[test]
fn to_whom_a_ticket_is_left() {
    let mut s = Story::new();
    for (hint, is_warm, seconds) in [
        ("hint", false, 300),
        ("hint", true, 60),
        ("long", false, 1_000),
        ("long", false, 1_000),
    ] {
        teach(&mut s, hint, is_warm, seconds);
    }
    let w1 = s.reg("w1");
    let popped = s.pop(w1);
    s.submit("u", "job1", "hint");
    s.pause();
    assert_eq!(s.answer(popped), "job1");
    s.finish("job1");
    let popped = s.pop(w1);
    s.submit("u", "job2", "long");
    s.pause();
    assert_eq!(s.answer(popped), "job2");

    // No worker has come to it yet.
    let third = s.submit("u", "job3", "hint");
    s.submit("u", "job4", "");
    assert_eq!(facts(&s, third).passed, None);
    // One without the hint takes the next.
    let w2 = s.reg("w2");
    let popped = s.pop(w2);
    s.pause();
    assert_eq!(s.answer(popped), "job4");
    let passed = facts(&s, third).passed.expect("a worker passed it");
    let PassedFacts {
        worker: left_to,
        until,
        saves,
    } = passed;
    assert_eq!(left_to, worker("w1"));
    assert_eq!(until, s.now + saves);
    assert_eq!(saves.as_secs_f64().round(), 240.0);
    assert_eq!(facts(&s, third).chosen, None);

    // Nobody is waited for who takes no jobs, nor for longer than that saves.
    s.deactivate(w1, WORKER);
    assert_eq!(facts(&s, third).passed, None);
    s.activate(w1, WORKER);
    assert!(facts(&s, third).passed.is_some());
    s.seconds_pass(241);
    s.pool.advance(s.now);
    assert_eq!(facts(&s, third).passed, None);
    s.end();
}

/// A ticket is left to the worker that has its hint cached until its client would get less than its share by that.
#[test]
fn a_ticket_is_not_left_to_others_at_the_cost_of_its_clients_share() {
    let mut s = Story::new();
    for (hint, is_warm, seconds) in [
        ("hint", false, 300),
        ("hint", true, 60),
        ("long", false, 1_000),
        ("short", false, 50),
        ("short", true, 50),
    ] {
        teach(&mut s, hint, is_warm, seconds);
    }
    let w1 = s.reg("w1");
    for (job, hint) in [("job1", "hint"), ("job2", "long")] {
        let popped = s.pop(w1);
        s.submit("u", job, hint);
        s.pause();
        assert_eq!(s.answer(popped), job);
        if job == "job1" {
            s.finish(job);
        }
    }

    // While w1 is busy, another worker takes three of another client, and leaves the first to w1.
    let first = s.submit("c", "first", "hint");
    for job in ["a", "b", "c", "d"] {
        s.submit("v", job, "short");
    }
    let w2 = s.reg("w2");
    for job in ["a", "b", "c"] {
        let popped = s.pop(w2);
        s.pause();
        assert_eq!(s.answer(popped), job);
        s.finish(job);
        assert_eq!(facts(&s, first).passed.is_some(), job != "c");
    }

    // After 100 s of work for the other client, a second one of 60 s should have started, too. It waits no longer.
    let popped = s.pop(w2);
    s.pause();
    assert_eq!(s.answer(popped), "first");

    // What it has missed meanwhile is not lost: the second one starts where it should have.
    let second = s.submit("c", "second", "");
    let [first, second] = [first, second].map(|ticket| s.pool.fair_start(ticket));
    let later = second.unwrap().since(first.unwrap());
    assert_eq!(later.as_secs_f64().round(), 60.0);
    s.end();
}
