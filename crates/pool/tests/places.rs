//! Stories of jobs that are queued again.

#[expect(dead_code, reason = "other suites use more of its words")]
mod story;

use std::time::Duration;

use expect_test::expect;
use pool::{CacheHint, Cancel, PastJob};
use story::{Story, client};

/// A job that is queued again has the place that it had, and its client is charged for it once.
#[test]
fn queued_again() {
    let mut s = Story::new();
    s.submit("a", "a1", "");
    s.submit("a", "a2", "");
    s.submit("b", "b1", "");
    let before = s.pool.snapshot(s.now, usize::MAX);

    // After a restart the queue is what it was, and so is what comes next.
    let mut s = Story::new();
    s.submit_again("a", "a1", 0, false);
    s.submit_again("a", "a2", 10, false);
    let b1 = s.submit_again("b", "b1", 0, false);
    assert_eq!(s.pool.snapshot(s.now, usize::MAX), before);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [a:a2@10s b:b1@0s a:a1@0s]
        registered:
        disconnected:
        clients: a(1)+20s b(1)+10s
        cached:
    "#]]);

    // A job whose worker was lost goes back to its place, ahead of what was submitted later.
    let w1 = s.reg("w1");
    let w1a = s.pop(w1);
    s.pause();
    assert_eq!(s.answer(w1a), "a1");
    s.release(w1);
    let retried = s.submit_again("a", "a1 again", 0, true);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [a:a2@10s a:a1 again@0s b:b1@0s]
        registered:
        disconnected:
          w1
        clients: a(1)+20s b(1)+10s
        cached: : [w1]
    "#]]);
    // Its client gets nothing back for it, but for one that no worker had.
    assert_eq!(s.cancel(retried), Cancel::Cancelled);
    assert_eq!(s.cancel(b1), Cancel::Cancelled);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [a:a2@10s]
        registered:
        disconnected:
          w1
        clients: a(1)+20s b(1)
        cached: : [w1]
    "#]]);
    s.end();
}

/// With learned times, who comes after a restart begins where the queue is, and not now, which would be after all.
#[test]
fn queued_again_with_learned_times() {
    let mut s = Story::new();
    for _ in 0..3 {
        s.pool.teach(&PastJob {
            client: client("a"),
            hint: CacheHint::new(""),
            is_warm: false,
            took: Duration::from_secs(20),
        });
    }
    s.submit_again("a", "a1", -90, false);
    s.submit_again("b", "b1", -100, false);
    s.submit("c", "c1", "");
    s.submit("c", "c2", "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [c:c2@-80s a:a1@-90s c:c1@-100s b:b1@-100s]
        registered:
        disconnected:
        clients: a(1) b(1) c(1)
        cached:
    "#]]);

    // One that loses its worker goes back to its place, also when nothing was queued meanwhile.
    let w1 = s.reg("w1");
    for _ in 0..4 {
        s.pop(w1);
    }
    s.pause();
    s.seconds_pass(1_000);
    s.release(w1);
    s.submit("d", "d1", "");
    s.submit_again("c", "c2 again", -1_080, true);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [d:d1@0s c:c2 again@-1080s]
        registered:
        disconnected:
          w1
        clients: a(1) b(1) c(1) d(1)+20s
        cached: : [w1]
    "#]]);
    s.end();
}
