//! Stories of what is ours: what upstream gets wrong or leaves open.

#[expect(dead_code, reason = "other suites use more of its words")]
mod story;

use std::time::Duration;

use expect_test::expect;
use pool::{
    CacheHint, Cancel, Capacity, Config, Cost, Effect, NameTaken, Pool, Rate, Remembered, Time,
    UnknownWorker,
};
use story::{ADMIN, SHUTDOWN, Story, WORKER, client, worker};

/// A pop whose caller has gone takes no job.
#[test]
fn cancelled_pop() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    let w1a = s.pop(w1);
    assert!(s.cancel_pop(w1a));
    s.submit("u", "job1", "a");
    let w2a = s.pop(w2);
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["pending", "job1"]);

    // It is over once it has been answered, or cancelled.
    assert!(!s.cancel_pop(w1a));
    assert!(!s.cancel_pop(w2a));
    s.end();
}

/// A ticket that was already assigned because of a pop goes elsewhere when that pop is cancelled.
#[test]
fn cancelled_pop_with_a_ticket() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    let (w1a, w2a) = (s.pop(w1), s.pop(w2));
    s.submit("u", "job1", "a");
    s.cancel_pop(w1a);
    s.pause();
    assert_eq!(s.answer(w2a), "job1");

    // But it stays while the worker has another pop for it.
    let (w1b, w1c) = (s.pop(w1), s.pop(w1));
    s.submit("u", "job2", "");
    s.cancel_pop(w1b);
    s.pause();
    assert_eq!([s.answer(w1b), s.answer(w1c)], ["pending", "job2"]);
    s.end();
}

/// A worker that asks for two jobs at once does not get both while another waits for one.
#[test]
fn two_pops() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    let (w1a, w1b, w2a) = (s.pop(w1), s.pop(w1), s.pop(w2));
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) [w2 w1 w1]
        registered:
          w1 (0): [] (0 running)
          w2 (0): [] (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    s.submit("u", "job1", "");
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) [w1 w2]
        registered:
          w1 (10): [u:job1@0s(10)] (0 running)
          w2 (0): [] (0 running)
        disconnected:
        clients: u(1)+10s
        cached: : [w1]
    "#]]);
    s.submit("u", "job2", "");
    s.submit("u", "job3", "");
    s.pause();
    assert_eq!(
        [s.answer(w1a), s.answer(w2a), s.answer(w1b)],
        ["job1", "job2", "job3"]
    );
    s.end();
}

/// Of workers that have a hint cached and equal workloads, the one with the fewest jobs is
/// preferred, then the one given a ticket longest ago; upstream always takes the last by name.
#[test]
fn preferred_among_equals() {
    let mut s = Story::new();
    let workers = ["w1", "w2", "w3"].map(|name| s.reg(name));
    // All three have built "a"; w3, w2, w1 in this order.
    for (job, w) in ["first", "second", "third"].into_iter().zip([2, 1, 0]) {
        s.submit("u", job, "a");
        for other in workers.iter().filter(|other| **other != workers[w]) {
            s.deactivate(*other, WORKER);
        }
        s.pop(workers[w]);
        s.pause();
        for other in workers.iter().filter(|other| **other != workers[w]) {
            s.activate(*other, WORKER);
        }
    }
    // They wait for more; w1 and w2 have finished, w3, which began first, is still at work.
    s.finish("second");
    s.finish("third");
    let pops = workers.map(|w| s.pop(w));
    s.pause();
    s.log();
    s.submit("u", "job1", "a");
    s.pause();
    s.submit("u", "job2", "a");
    s.pause();
    s.submit("u", "job3", "a");
    s.pause();
    assert_eq!(pops.map(|pop| s.answer(pop)), ["job2", "job1", "job3"]);
    expect![[r#"
        Assigning a to "w2" (preferred)
        "w2" takes a from its local queue
        Assigning a to "w1" (preferred)
        "w1" takes a from its local queue
        Assigning a to "w3" (preferred)
        "w3" takes a from its local queue
    "#]]
    .assert_eq(&s.log());
    s.end();
}

/// Of workers that were never given anything, the last by name is preferred.
#[test]
fn preferred_by_name() {
    let names = ["w1", "w2", "w3"];
    let mut s = Story::with(Remembered {
        workers: names.map(|name| (worker(name), false)).into(),
        cached: names.map(|name| (CacheHint::new("a"), worker(name))).into(),
        ..Remembered::default()
    });
    let pops = names.map(|name| {
        let w = s.reg(name);
        s.pop(w)
    });
    for job in ["job1", "job2", "job3"] {
        s.submit("u", job, "a");
        s.pause();
    }
    assert_eq!(pops.map(|pop| s.answer(pop)), ["job3", "job2", "job1"]);
    s.end();
}

/// A ticket waits for a busy worker that has its hint cached no longer than its cache would save.
#[test]
fn overdue() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    s.pop(w1);
    s.submit("u", "job1", "a");
    s.pause();
    // Worker 2 has nothing to do, but "a" is faster on worker 1.
    s.submit("u", "job2", "a");
    assert_eq!(s.pool.next_deadline(), None);
    let w2a = s.pop(w2);
    s.pause();
    assert_eq!(s.answer(w2a), "pending");
    assert_eq!(s.pool.next_deadline(), Some(Time::from_secs(1 + 8)));

    s.advance(7);
    s.pause();
    assert_eq!(s.answer(w2a), "pending");
    s.log();
    s.advance(1);
    s.pause();
    assert_eq!(s.answer(w2a), "job2");
    expect![[r#"
        Moving a from "w1" to "w2" (waited too long)
        "w2" takes a from its local queue
    "#]]
    .assert_eq(&s.log());
    assert_eq!(s.pool.next_deadline(), None);
    s.end();
}

/// Where caches save nothing, a ticket still doesn't move from one worker to the next without end.
#[test]
fn useless_caches() {
    let second = Duration::from_secs(1);
    let cost = Cost {
        cached: second,
        non_cached: second,
    };
    let mut pool = Pool::new(
        Config {
            cost,
            ..Config::default()
        },
        Remembered::default(),
    );
    let [w1, w2] = ["w1", "w2"].map(|name| {
        let w = pool.register(worker(name), Capacity::new(1)).unwrap();
        pool.set_active(w, WORKER, true).unwrap();
        w
    });
    pool.pop(w1).unwrap();
    pool.submit(Time::EPOCH, &client("u"), "a", false);
    while pool.poll_effect().is_some() {}
    pool.submit(Time::EPOCH, &client("u"), "a", false);
    let pops = [w2, w2].map(|w| pool.pop(w).unwrap());
    pool.advance(Time::from_secs(10));
    let delivered: Vec<_> = core::iter::from_fn(|| pool.poll_effect())
        .filter_map(|effect| match effect {
            Effect::Deliver { pop, .. } => Some(pop),
            _ => None,
        })
        .collect();
    assert_eq!(delivered, pops[..1]);
}

/// Cancelling what no worker was ever given costs nothing.
#[test]
fn refund() {
    let mut s = Story::new();
    s.submit("u", "job1", "");
    let job2 = s.submit("u", "job2", "");
    assert_eq!(s.cancel(job2), Cancel::Cancelled);
    s.submit("u", "job3", "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:job3@10s u:job1@0s]
        registered:
        disconnected:
        clients: u(1)+20s
        cached:
    "#]]);

    // A client that was idle can't save up.
    let idle = s.submit("v", "job4", "");
    assert_eq!(s.cancel(idle), Cancel::Cancelled);
    s.seconds_pass(100);
    s.submit("v", "job5", "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [v:job5@0s u:job3@-90s u:job1@-100s]
        registered:
        disconnected:
        clients: u(1) v(1)+10s
        cached:
    "#]]);
    s.end();
}

/// A hint that only forgotten workers had is cached nowhere: its next job is charged in full.
#[test]
fn forgotten_hints() {
    let mut s = Story::new();
    let w1 = s.reg("w1");
    s.submit("u", "job1", "a");
    s.pop(w1);
    s.release(w1);
    s.submit("u", "cheap", "a");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:cheap@10s]
        registered:
        disconnected:
          w1
        clients: u(1)+12s
        cached: a: [w1]
    "#]]);
    let w2 = s.reg("w2");
    assert_eq!(s.flush(w2), "cheap");

    assert_eq!((s.forget("w1"), s.forget("w2")), (Ok(()), Ok(())));
    s.submit("v", "dear", "a");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [v:dear@0s]
        registered:
        disconnected:
        clients: u(1)+12s v(1)+10s
        cached:
    "#]]);
    let database = s.database();
    assert_eq!((database.cached.len(), database.workers.len()), (0, 0));
    s.end();
}

/// An update failed: the caller that started it makes the worker active again.
#[test]
fn failed_update() {
    let mut s = Story::new();
    let w1 = s.reg("w1");
    let w1a = s.pop(w1);
    s.pause();
    s.log();
    s.deactivate(w1, SHUTDOWN);
    s.submit("u", "job1", "");
    s.pause();
    assert_eq!(s.answer(w1a), "pending");

    s.activate(w1, SHUTDOWN);
    s.pause();
    assert_eq!(s.answer(w1a), "job1");
    expect![[r#"
        Worker "w1" is shutting down
        "w1" marked inactive (reassigning 0 items)
        Adding (no cache hint) to the backlog
        Activate queue for "w1"
        "w1" takes (no cache hint) from the main queue
    "#]]
    .assert_eq(&s.log());
    s.end();
}

/// A removed client's queued tickets are cancelled, wherever they are; others stay.
#[test]
fn removed_client() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    s.rate("gone", 3.0);
    s.pop(w1);
    s.submit("gone", "running", "a");
    s.pause();
    s.submit("gone", "queued", "a");
    s.submit("gone", "taken", "");
    // Worker 2 takes the second, since worker 1 is preferred for the first.
    s.pop(w2);
    s.submit("gone", "waiting", "");
    s.submit("stays", "other", "");
    assert_eq!(s.remove_client("gone"), "queued waiting");
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [stays:other@0s]
        registered:
          w1 (0): [] (1 running)
          w2 (0): [] (1 running)
        disconnected:
        clients: stays(1)+10s
        cached: : [w2], a: [w1]
    "#]]);

    // Should it come back, it starts anew.
    assert_eq!(s.pool.rate(&client("gone")), Rate::DEFAULT);
    assert_eq!(s.remove_client("gone"), "");

    // So does one that has done nothing since the pool was made.
    let mut s = s.restart();
    s.rate("quiet", 3.0);
    let mut s = s.restart();
    assert_eq!(s.pool.rate(&client("quiet")).get(), 3.0);
    assert_eq!(s.remove_client("quiet"), "");
    assert_eq!(s.pool.rate(&client("quiet")), Rate::DEFAULT);
    s.end();
}

/// A worker that reconnects has nothing to do with what it was before.
#[test]
fn late() {
    let mut s = Story::new();
    let old = s.reg("w1");
    s.pop(old);
    s.submit("u", "job1", "");
    s.pause();
    assert_eq!(
        s.pool.register(worker("w1"), Capacity::new(1)),
        Err(NameTaken)
    );
    s.release(old);
    let new = s.reg("w1");
    s.pop(new);
    s.late(old);

    // The job that ran on the old one ends now.
    s.finish("job1");
    s.submit("u", "job2", "");
    s.pause();
    s.finish("job1");
    s.expect(expect![[r#"
        capacity: 1
        queue: (ready) []
        registered:
          w1 (0): [] (1 running)
        disconnected:
        clients: u(1)+20s
        cached: : [w1]
    "#]]);
    expect![[r#"
        w1 1
        w1 0
        w1 1
    "#]]
    .assert_eq(&s.running());
    s.end();
}

/// An admin pauses workers that are not there.
#[test]
fn paused_while_away() {
    let mut s = Story::new();
    assert_eq!(
        s.pool.set_paused(&worker("w1"), true, false),
        Err(UnknownWorker)
    );
    s.set_paused("w1", true);
    s.register("w2");
    s.set_paused("w2", true);
    s.set_paused("w2", false);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          w2 (0): (inactive: worker pause) (0 running)
        disconnected:
          w1 (paused)
        clients:
        cached:
    "#]]);

    // It is still paused after a restart, until it is unpaused.
    let mut s = s.restart();
    let w1 = s.reg("w1");
    assert!(
        s.pool
            .worker(&worker("w1"))
            .is_some_and(|w| w.paused && w.reasons.contains(ADMIN))
    );
    s.release(w1);
    s.set_paused("w1", false);
    s.reg("w1");
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          w1 (0): [] (0 running)
        disconnected:
          w2
        clients:
        cached:
    "#]]);
    s.end();
}

/// Rates are remembered, though a client is shown only once it has done something.
#[test]
fn remembered_rates() {
    let mut s = Story::new();
    s.rate("u", 4.0);
    let mut s = s.restart();
    assert_eq!(s.pool.rate(&client("u")).get(), 4.0);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) []
        registered:
        disconnected:
        clients:
        cached:
    "#]]);
    s.submit("u", "job1", "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:job1@0s]
        registered:
        disconnected:
        clients: u(4)+2s
        cached:
    "#]]);
    s.end();
}

/// Rows that upstream leaves behind are ignored.
#[test]
fn remembered_leftovers() {
    let row = |hint: &str, name: &str| (CacheHint::new(hint), worker(name));
    let pool = Pool::new(
        pool::Config::default(),
        Remembered {
            workers: [(worker("w1"), false)].into(),
            cached: vec![row("a", "w1"), row("a", "forgotten"), row("", "w1")],
            ..Remembered::default()
        },
    );
    pool.check().unwrap();
    expect![[r#"
        capacity: 0
        queue: (backlog) []
        registered:
        disconnected:
          w1
        clients: 
        cached: a: [w1]
    "#]]
    .assert_eq(&pool.dump(Time::EPOCH));
}

/// One pop looks past so many tickets that others are preferred for, and then takes the next.
#[test]
fn many_diversions() {
    let mut s = Story::new();
    let warm: Vec<_> = (0..100).map(|n| s.reg(&format!("warm{n:02}"))).collect();
    for (n, w) in warm.iter().enumerate() {
        s.submit("u", &format!("first{n}"), &format!("hint{n}"));
        s.pop(*w);
    }
    s.pause();
    for n in 0..300 {
        s.submit("u", &format!("job{n}"), &format!("hint{}", n % 100));
    }
    let cold = s.reg("cold");
    let pop = s.pop(cold);
    s.pause();
    assert_eq!(s.answer(pop), "job128");
    s.end();
}

/// A clock that was set back changes nothing: time stands still until it has caught up.
#[test]
fn time_runs_backwards() {
    let mut s = Story::new();
    s.seconds_pass(100);
    s.pool.advance(s.now);
    s.pool.advance(Time::from_secs(1));
    assert_eq!(s.pool.now(), Time::from_secs(101));
    s.now = Time::from_secs(50);
    s.submit("u", "job1", "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:job1@51s]
        registered:
        disconnected:
        clients: u(1)+61s
        cached:
    "#]]);
    s.end();
}

/// Absurd rates give absurd times, and no panic.
#[test]
fn extreme_rates() {
    let mut s = Story::new();
    s.rate("fast", f64::MAX);
    s.rate("slow", f64::MIN_POSITIVE);
    for job in 0..3 {
        s.submit("fast", &format!("f{job}"), "");
        let slow = s.submit("slow", &format!("s{job}"), "");
        assert_eq!(s.cancel(slow), Cancel::Cancelled);
        s.submit("slow", &format!("t{job}"), "");
    }
    let w1 = s.reg("w1");
    assert_eq!(s.flush(w1), "f0 t0 f1 f2 t1 t2");
    s.end();
}

// Workers that are silent.

/// A worker that has been silent for long is asked whether it is there. Until it answers it takes
/// nothing, and others go first.
#[test]
fn a_silent_worker_is_probed_before_it_is_assigned_a_job() {
    let mut s = Story::probing_after(5);
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    let first = s.pop(w1);
    s.seconds_pass(6);
    s.heard(w2);
    let second = s.pop(w2);
    s.submit("u", "job1", "");
    assert_eq!(s.asked(), "w1", "it has waited longer");
    assert_eq!(s.answer(first), "pending");
    s.submit("u", "job2", "");
    assert_eq!(s.asked(), "", "nobody is asked twice");
    assert_eq!(s.answer(second), "job2");

    s.heard(w1);
    s.pause();
    assert_eq!(s.answer(first), "job1");
    // It has been heard of just now.
    let third = s.pop(w1);
    s.submit("u", "job3", "");
    assert_eq!(s.asked(), "");
    assert_eq!(s.answer(third), "job3");
    s.end();
}

/// What a worker was to do that does not answer is done by others. Its pops wait, and it works again once
/// it has been heard of.
#[test]
fn a_worker_that_does_not_answer_is_assigned_nothing() {
    let mut s = Story::probing_after(5);
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    let first = s.pop(w1);
    s.seconds_pass(6);
    s.submit("u", "job1", "");
    assert_eq!(s.asked(), "w1");
    s.heard(w2);
    let second = s.pop(w2);
    s.falls_silent(w1);
    s.pause();
    assert_eq!(s.answer(second), "job1");
    s.submit("u", "job2", "");
    s.pause();
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [u:job2@10s]
        registered:
          w1 (0): (inactive: not answering) (0 running)
          w2 (0): [] (1 running)
        disconnected:
        clients: u(1)+20s
        cached: : [w1; w2]
    "#]]);
    assert_eq!(s.pool.stats().not_answering, 1);

    s.heard(w1);
    s.pause();
    assert_eq!(s.answer(first), "job2");
    assert_eq!(s.pool.stats().not_answering, 0);
    s.end();
}

/// When all are silent, jobs wait in their usual order for a worker that answers.
#[test]
fn jobs_wait_in_order_for_an_answer() {
    let mut s = Story::probing_after(5);
    let w1 = s.reg("w1");
    let pops = [s.pop(w1), s.pop(w1), s.pop(w1)];
    s.seconds_pass(6);
    for job in ["job1", "job2", "job3"] {
        s.submit("u", job, "");
        s.pause();
    }
    assert_eq!(s.asked(), "w1");
    s.heard(w1);
    s.pause();
    assert_eq!(pops.map(|pop| s.answer(pop)), ["job1", "job2", "job3"]);
    s.end();
}

/// A worker that was probed for a job that was then cancelled waits for another.
#[test]
fn cancelled_while_its_worker_is_probed() {
    let mut s = Story::probing_after(5);
    let w1 = s.reg("w1");
    let pop = s.pop(w1);
    s.seconds_pass(6);
    let job1 = s.submit("u", "job1", "");
    assert_eq!(s.asked(), "w1");
    assert_eq!(s.cancel(job1), Cancel::Cancelled);
    s.heard(w1);
    s.submit("u", "job2", "");
    s.pause();
    assert_eq!(s.answer(pop), "job2");
    s.end();
}

/// A client's queued tickets can be gone through in pieces, whatever others have queued between them.
#[test]
fn queued_tickets_of_a_client_in_pieces() {
    let mut pool = Pool::default();
    let (alice, bob) = (client("alice"), client("bob"));
    let mut theirs = Vec::new();
    for n in 0..5 {
        theirs.push(pool.submit(Time::EPOCH, &alice, "", n == 3));
        pool.submit(Time::EPOCH, &bob, "", false);
    }
    let first = pool.queued_of(&alice, None, 2);
    assert_eq!(first, theirs[..2]);
    assert_eq!(pool.cancel(first[1]), Cancel::Cancelled);
    assert_eq!(pool.queued_of(&alice, Some(first[1]), 2), theirs[2..4]);
    assert_eq!(pool.queued_of(&alice, Some(theirs[3]), 2), theirs[4..]);
    assert_eq!(pool.queued_of(&alice, Some(theirs[4]), 2), []);
    assert_eq!(pool.queued_of(&alice, None, 9).len(), 4);

    // What a worker has taken is not queued any more.
    let w1 = pool.register(worker("w1"), Capacity::new(1)).unwrap();
    pool.set_active(w1, WORKER, true).unwrap();
    pool.pop(w1).unwrap();
    assert_eq!(pool.queued_of(&alice, None, 9).len(), 3);
    assert_eq!(pool.queued_of(&client("nobody"), None, 9), []);
}

/// A worker that returns still runs what it took in an earlier registration.
#[test]
fn an_adopted_job_counts_as_running() {
    let mut pool = Pool::new(Config::default(), Remembered::default());
    let w1 = pool.register(worker("w1"), Capacity::new(1)).unwrap();
    let hint = CacheHint::new("a");
    let ticket = pool.adopt(w1, &client("u"), &hint, false).unwrap();
    pool.check().unwrap();
    assert_eq!(pool.running(&worker("w1")), 1);
    assert!(matches!(pool.cancel(ticket), Cancel::NotQueued));
    pool.job_finished(ticket);
    assert_eq!(pool.running(&worker("w1")), 0);
    // With the registration, its end is not counted any more.
    let ticket = pool.adopt(w1, &client("u"), &hint, false).unwrap();
    pool.release(w1);
    pool.job_finished(ticket);
    pool.check().unwrap();
    assert!(pool.adopt(w1, &client("u"), &hint, false).is_err());
}
