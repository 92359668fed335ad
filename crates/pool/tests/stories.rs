//! Upstream's scheduling stories, under the names they have there, so that the two suites can be laid
//! side by side. `behaviour.rs` has the stories that are only ours.

#[expect(dead_code, reason = "other suites use more of its words")]
mod story;

use expect_test::expect;
use pool::{Cancel, ForgetError, WorkerId};
use story::{ADMIN, SHUTDOWN, Story, WORKER, worker};

/// Assigns three jobs to two workers.
#[test]
fn simple() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("worker-1"), s.reg("worker-2"));
    let (w1a, w2a) = (s.pop(w1), s.pop(w2));
    s.submit("u1", "job1", "");
    s.submit("u1", "job2", "");
    s.submit("u1", "job3", "");
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job1", "job2"]);

    s.release(w2);
    assert_eq!(s.flush(w1), "job3");
    s.end();
}

/// Jobs go to workers that have things cached.
#[test]
fn cached_scheduling() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("worker-1"), s.reg("worker-2"));
    let (w1a, w2a) = (s.pop(w1), s.pop(w2));
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) [worker-2 worker-1]
        registered:
          worker-1 (0): [] (0 running)
          worker-2 (0): [] (0 running)
        disconnected:
        clients:
        cached:
    "#]]);

    // Two jobs are assigned, three have to wait.
    s.rate("u1", 2.0);
    for (n, hint) in (1..).zip(["a", "b", "a", "a", "c"]) {
        s.submit("u1", &format!("job{n}"), hint);
    }
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [u1:job5@12s u1:job4@11s u1:job3@10s]
        registered:
          worker-1 (10): [u1:job1@0s(10)] (0 running)
          worker-2 (10): [u1:job2@5s(10)] (0 running)
        disconnected:
        clients: u1(2)+17s
        cached: a: [worker-1], b: [worker-2]
    "#]]);

    // The two jobs start.
    s.pause();
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [u1:job5@12s u1:job4@11s u1:job3@10s]
        registered:
          worker-1 (0): [] (1 running)
          worker-2 (0): [] (1 running)
        disconnected:
        clients: u1(2)+17s
        cached: a: [worker-1], b: [worker-2]
    "#]]);
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job1", "job2"]);

    // Worker 2 asks for more, but the next two jobs would be done better by worker 1.
    s.finish("job2");
    let w2b = s.pop(w2);
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) []
        registered:
          worker-1 (4): [u1:job4@11s(2) u1:job3@10s(2)] (1 running)
          worker-2 (0): [] (1 running)
        disconnected:
        clients: u1(2)+17s
        cached: a: [worker-1], b: [worker-2], c: [worker-2]
    "#]]);
    s.pause();
    assert_eq!(s.answer(w2b), "job5");
    s.finish("job5");
    cached_scheduling_without_worker_1(s, w1, w2);
}

/// The end of [`cached_scheduling`]: worker 1 leaves, and worker 2 does its two jobs.
fn cached_scheduling_without_worker_1(mut s: Story, w1: WorkerId, w2: WorkerId) {
    let w2c = s.pop(w2);
    s.pause();
    assert_eq!(s.answer(w2c), "pending");
    s.release(w1);
    s.pause();
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) [u1:job4@11s]
        registered:
          worker-2 (0): [] (1 running)
        disconnected:
          worker-1
        clients: u1(2)+17s
        cached: a: [worker-1; worker-2], b: [worker-2], c: [worker-2]
    "#]]);
    assert_eq!(s.answer(w2c), "job3");
    s.finish("job3");
    let w2d = s.pop(w2);
    s.pause();
    assert_eq!(s.answer(w2d), "job4");

    // Nothing is left.
    s.seconds_pass(20);
    s.release(w2);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) []
        registered:
        disconnected:
          worker-1
          worker-2
        clients: u1(2)
        cached: a: [worker-1; worker-2], b: [worker-2], c: [worker-2]
    "#]]);
    s.end();
}

/// A worker with something cached is preferred only while its queue is short.
#[test]
fn unbalanced() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("worker-1"), s.reg("worker-2"));
    s.rate("u1", 2.0);
    for job in 1..=8 {
        s.submit("u1", &format!("job{job}"), "a");
    }
    s.pop(w1);
    let w2a = s.pop(w2);
    s.pause();
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) []
        registered:
          worker-1 (12): [u1:job7@10s(2) u1:job6@9s(2) u1:job5@8s(2) u1:job4@7s(2)
                          u1:job3@6s(2) u1:job2@5s(2)] (1 running)
          worker-2 (0): [] (1 running)
        disconnected:
        clients: u1(2)+12s
        cached: a: [worker-1; worker-2]
    "#]]);
    assert_eq!(s.answer(w2a), "job8");

    // Worker 1 leaves all of it to worker 2.
    s.release(w1);
    assert_eq!(s.flush(w2), "job2 job3 job4 job5 job6 job7");
    s.end();
}

/// There are no workers at times.
#[test]
fn no_workers() {
    let mut s = Story::new();
    s.submit("u1", "job1", "a");
    s.submit("u1", "job2", "a");
    let w1 = s.reg("worker-1");
    s.pop(w1);
    s.release(w1);
    s.pause();
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u1:job2@10s]
        registered:
        disconnected:
          worker-1
        clients: u1(1)+12s
        cached: a: [worker-1]
    "#]]);

    let w1 = s.reg("worker-1");
    assert_eq!(s.flush(w1), "job2");
    s.end();
}

/// What is cached where is remembered across restarts.
#[test]
fn persist() {
    // Worker 1 does job 1.
    let mut s = Story::new();
    let w1 = s.reg("worker-1");
    s.submit("u1", "job1", "a");
    s.pop(w1);
    s.release(w1);

    // After a restart worker 2 comes first, and would get the first job.
    let mut s = s.restart();
    let w2 = s.reg("worker-2");
    let w2a = s.pop(w2);
    let w1 = s.reg("worker-1");
    let w1a = s.pop(w1);
    s.submit("u1", "job2", "a");
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job2", "pending"]);
    s.end();
}

/// Urgent jobs go first.
#[test]
fn urgent() {
    let mut s = Story::new();
    s.submit("u1", "job1", "a");
    s.submit_urgent("u1", "job2", "a");
    s.submit_urgent("u1", "job3", "a");
    s.submit("u1", "job4", "b");
    let w1 = s.reg("worker-1");
    let w1a = s.pop(w1);

    // Worker 2 gets job 4: worker 1 is preferred for the others.
    let w2 = s.reg("worker-2");
    let w2a = s.pop(w2);

    // Worker 1 leaves. Jobs 1 and 3 go back, as urgent as they were.
    s.release(w1);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) [u1:job1@0s u1:job3@12s+urgent]
        registered:
          worker-2 (0): [] (1 running)
        disconnected:
          worker-1
        clients: u1(1)+24s
        cached: a: [worker-1], b: [worker-2]
    "#]]);

    // Urgent job 5 goes before job 1, which isn't, and after job 3, which is older.
    s.submit_urgent("u1", "job5", "b");
    assert_eq!(s.flush(w2), "job3 job5 job1");
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job2", "job4"]);
    s.end();
}

/// Urgent jobs go first in a worker's queue too.
#[test]
fn urgent_worker() {
    let mut s = Story::new();
    s.submit_urgent("u1", "job1", "a");
    s.submit("u1", "job2", "a");
    s.submit("u1", "job3", "b");
    let w1 = s.reg("worker-1");
    let w1a = s.pop(w1);

    // Worker 2 gets job 3, which puts job 2 into worker 1's queue.
    let w2 = s.reg("worker-2");
    let w2a = s.pop(w2);
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job1", "job3"]);
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) []
        registered:
          worker-1 (2): [u1:job2@10s(2)] (1 running)
          worker-2 (0): [] (1 running)
        disconnected:
        clients: u1(1)+22s
        cached: a: [worker-1], b: [worker-2]
    "#]]);

    // Jobs 4 and 6 go before job 2.
    s.rate("u1", 2.0);
    s.submit_urgent("u1", "job4", "a");
    s.submit("u1", "job5", "b");
    s.submit_urgent("u1", "job6", "a");
    let w2b = s.pop(w2);
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) []
        registered:
          worker-1 (6): [u1:job2@10s(2) u1:job6@24s(2+urgent) u1:job4@22s(2+urgent)] (1 running)
          worker-2 (0): [] (2 running)
        disconnected:
        clients: u1(2)+25s
        cached: a: [worker-1], b: [worker-2]
    "#]]);
    s.pause();
    assert_eq!(s.answer(w2b), "job5");
    assert_eq!(s.flush(w1), "job4 job6 job2");
    s.end();
}

/// Workers can be paused, and go on later.
#[test]
fn inactive() {
    let mut s = Story::new();
    let w1 = s.reg("worker-1");
    let w1a = s.pop(w1);
    s.submit("u1", "job1", "a");
    s.submit("u1", "job2", "a");
    let w2 = s.reg("worker-2");
    let w2a = s.pop(w2);

    // Both jobs are for worker 1.
    s.pause();
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) [worker-2]
        registered:
          worker-1 (2): [u1:job2@10s(2)] (1 running)
          worker-2 (0): [] (0 running)
        disconnected:
        clients: u1(1)+12s
        cached: a: [worker-1]
    "#]]);

    // It pauses, so the one it has not taken is for worker 2.
    s.deactivate(w1, WORKER);
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) []
        registered:
          worker-1 (0): (inactive: worker pause) (1 running)
          worker-2 (10): [u1:job2@10s(10)] (0 running)
        disconnected:
        clients: u1(1)+12s
        cached: a: [worker-1; worker-2]
    "#]]);
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job1", "job2"]);

    // Worker 2 pauses too, so the next has to wait.
    s.rate("u1", 2.0);
    s.submit("u1", "job3", "a");
    s.deactivate(w2, WORKER);
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [u1:job3@12s]
        registered:
          worker-1 (0): (inactive: worker pause) (1 running)
          worker-2 (0): (inactive: worker pause) (1 running)
        disconnected:
        clients: u1(2)+13s
        cached: a: [worker-1; worker-2]
    "#]]);

    s.activate(w2, WORKER);
    s.release(w1);
    assert_eq!(s.flush(w2), "job3");
    s.end();
}

/// A client cancels tickets that are assigned to workers.
#[test]
fn cancel_worker_queue() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("worker-1"), s.reg("worker-2"));
    let (w1a, w2a) = (s.pop(w1), s.pop(w2));
    s.rate("u1", 2.0);
    s.submit("u1", "job1", "a");
    s.pause();
    let job2 = s.submit("u1", "job2", "a");
    let job3 = s.submit("u1", "job3", "a");
    let job4 = s.submit("u1", "job4", "b");

    // Cancelled while it rests in the queue of worker 2, which was waiting.
    assert_eq!(s.cancel(job4), Cancel::Cancelled);
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) []
        registered:
          worker-1 (4): [u1:job3@6s(2) u1:job2@5s(2)] (1 running)
          worker-2 (0): [] (0 running)
        disconnected:
        clients: u1(2)+12s
        cached: a: [worker-1], b: [worker-2]
    "#]]);

    // Cancelled in the queue of worker 1, which is busy.
    assert_eq!(s.cancel(job2), Cancel::Cancelled);
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) []
        registered:
          worker-1 (2): [u1:job3@6s(2)] (1 running)
          worker-2 (0): [] (0 running)
        disconnected:
        clients: u1(2)+12s
        cached: a: [worker-1], b: [worker-2]
    "#]]);

    // Pushed back, and cancelled in the backlog.
    s.release(w2);
    s.deactivate(w1, WORKER);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) [u1:job3@6s]
        registered:
          worker-1 (0): (inactive: worker pause) (1 running)
        disconnected:
          worker-2
        clients: u1(2)+12s
        cached: a: [worker-1], b: [worker-2]
    "#]]);
    assert_eq!(s.cancel(job3), Cancel::Cancelled);
    s.release(w1);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) []
        registered:
        disconnected:
          worker-1
          worker-2
        clients: u1(2)+12s
        cached: a: [worker-1], b: [worker-2]
    "#]]);
    assert_eq!(s.cancel(job3), Cancel::NotQueued);

    // Upstream never answers worker 2, who has left; we do.
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["job1", "failed"]);
    s.end();
}

/// A worker becomes inactive, and its tickets go back.
#[test]
fn push_back() {
    let mut s = Story::new();
    let (w1, w2) = (s.register("worker-1"), s.register("worker-2"));
    s.activate(w1, WORKER);
    s.pop(w1);
    s.pop(w2);
    s.rate("u1", 2.0);
    s.submit("u1", "job1", "a");
    s.pause();
    s.submit("u1", "job2", "a");
    s.submit("u1", "job3", "a");
    s.activate(w2, WORKER);
    s.pause();
    s.expect(expect![[r#"
        capacity: 2
        queue: (ready) [worker-2]
        registered:
          worker-1 (4): [u1:job3@6s(2) u1:job2@5s(2)] (1 running)
          worker-2 (0): [] (0 running)
        disconnected:
        clients: u1(2)+7s
        cached: a: [worker-1]
    "#]]);

    s.release(w2);
    s.deactivate(w1, WORKER);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) [u1:job3@6s u1:job2@5s]
        registered:
          worker-1 (0): (inactive: worker pause) (1 running)
        disconnected:
          worker-2
        clients: u1(2)+7s
        cached: a: [worker-1]
    "#]]);

    s.activate(w1, WORKER);
    assert_eq!(s.flush(w1), "job2 job3");
    s.end();
}

/// Two clients share the workers.
#[test]
fn fairness() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("worker-1"), s.reg("worker-2"));
    s.rate("alice", 2.0);
    s.rate("bob", 2.0);
    let (w1a, w2a) = (s.pop(w1), s.pop(w2));
    for job in ["a1", "a2", "a3"] {
        s.submit("alice", job, "");
    }
    // Two of Alice's jobs run already when Bob comes, but his don't all have to wait for the third.
    for job in ["b1", "b2", "b3"] {
        s.submit("bob", job, "");
    }
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["a1", "a2"]);
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [bob:b3@10s alice:a3@10s bob:b2@5s bob:b1@0s]
        registered:
          worker-1 (0): [] (1 running)
          worker-2 (0): [] (1 running)
        disconnected:
        clients: alice(2)+15s bob(2)+15s
        cached: : [worker-1; worker-2]
    "#]]);

    s.release(w2);
    assert_eq!(s.flush(w1), "b1 b2 a3 b3");
    s.end();
}

/// Two clients with different rates share the workers.
#[test]
fn fairness_rates() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("worker-1"), s.reg("worker-2"));
    s.rate("alice", 5.0);
    s.rate("bob", 1.0);
    let (w1a, w2a) = (s.pop(w1), s.pop(w2));
    // Alice submits 30 seconds of work, and with five machines' worth of share expects it in 6.
    for job in ["a1", "a2", "a3"] {
        s.submit("alice", job, "");
    }
    // Bob submits as much, and expects it in 30.
    for job in ["b1", "b2", "b3"] {
        s.submit("bob", job, "");
    }
    s.pause();
    assert_eq!([s.answer(w1a), s.answer(w2a)], ["a1", "a2"]);
    s.expect(expect![[r#"
        capacity: 2
        queue: (backlog) [bob:b3@20s bob:b2@10s alice:a3@4s bob:b1@0s]
        registered:
          worker-1 (0): [] (1 running)
          worker-2 (0): [] (1 running)
        disconnected:
        clients: alice(5)+6s bob(1)+30s
        cached: : [worker-1; worker-2]
    "#]]);

    s.release(w2);
    assert_eq!(s.flush(w1), "b1 a3 b2 b3");
    s.end();
}

/// A worker is inactive while there is any reason. (Upstream has two stories called "inactive".)
#[test]
fn inactive_reasons() {
    let mut s = Story::new();
    // Workers start paused.
    let w1 = s.register("worker-1");
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): (inactive: worker pause) (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    // An admin pauses it too.
    s.deactivate(w1, ADMIN);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): (inactive: worker pause, admin pause) (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    // It unpauses itself, but that isn't enough.
    s.activate(w1, WORKER);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): (inactive: admin pause) (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    // The admin unpauses it too.
    s.activate(w1, ADMIN);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): [] (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    // It is shut down.
    s.deactivate(w1, SHUTDOWN);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): (inactive: shutting down) (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    s.end();
}

/// A worker that an admin has paused stays so when it reconnects.
#[test]
fn persist_pause() {
    let mut s = Story::new();
    let w1 = s.register("worker-1");
    s.deactivate(w1, ADMIN);
    s.deactivate(w1, SHUTDOWN);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): (inactive: worker pause, admin pause, shutting down) (0 running)
        disconnected:
        clients:
        cached:
    "#]]);

    // It unpauses itself, which is forgotten when it leaves, as is that it was shutting down.
    s.activate(w1, WORKER);
    s.release(w1);
    let w1 = s.register("worker-1");
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): (inactive: worker pause, admin pause) (0 running)
        disconnected:
        clients:
        cached:
    "#]]);

    // The admin unpauses it, which is remembered.
    s.activate(w1, ADMIN);
    s.release(w1);
    let w1 = s.register("worker-1");
    s.activate(w1, WORKER);
    s.expect(expect![[r#"
        capacity: 1
        queue: (backlog) []
        registered:
          worker-1 (0): [] (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    s.end();
}

/// Only known workers that are disconnected can be forgotten.
#[test]
fn forget() {
    let mut s = Story::new();
    let name = worker("worker-1");
    let w1 = s.register("worker-1");
    assert_eq!(
        s.pool.forget(&name),
        Err(ForgetError::StillConnected {
            worker: name.clone()
        })
    );

    s.release(w1);
    assert_eq!(s.pool.forget(&name), Ok(()));
    assert_eq!(
        s.pool.forget(&name),
        Err(ForgetError::UnknownWorker { worker: name })
    );
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) []
        registered:
        disconnected:
        clients:
        cached:
    "#]]);
    s.end();
}
