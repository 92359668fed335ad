//! Texts: what an operator reads, what is logged, what is refused; and numbers for metrics.

#[expect(dead_code, reason = "other suites use more of its words")]
mod story;

use std::time::Duration;

use expect_test::expect;
use pool::{Cancel, Capacity, ClientId, NameError, Pool, Rate, Time, WorkerName};
use story::{ADMIN, Story, WORKER, client};

/// Unusable names, rates and capacities are refused, each saying why.
#[test]
fn refused() {
    assert_eq!(WorkerName::new(""), Err(NameError::Empty));
    assert_eq!(ClientId::new("a\nb"), Err(NameError::Invisible('\n')));
    expect![[r#"name contains the control character '\n'; use printable characters"#]]
        .assert_eq(&format!("{}", NameError::Invisible('\n')));
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Rate::new(rate).unwrap_err();
        assert!(error.to_string().contains(&rate.to_string()), "{error}");
    }
    assert_eq!(Capacity::announced(-3), Capacity::new(0));
    assert_eq!(Capacity::announced(3), Capacity::new(3));
}

/// The lines that are logged are upstream's.
#[test]
fn log() {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.register("w2"));
    s.pop(w1);
    s.submit("u", "job1", "a");
    s.pause();
    s.submit("u", "job2", "a");
    s.pop(w1);
    s.submit("u", "job3", "a\n\u{1b}[31m");
    let job4 = s.submit("u", "job4", "");
    s.pause();
    s.deactivate(w2, ADMIN);
    s.activate(w2, WORKER);
    s.activate(w2, ADMIN);
    assert_eq!(s.cancel(job4), Cancel::Cancelled);
    s.submit("u", "job5", "a");
    s.pop(w2);
    s.pop(w2);
    s.submit("u", "job6", "");
    s.pause();
    s.submit("u", "job7", "");
    s.release(w1);
    expect![[r#"
        Registered new worker "w1"
        Activate queue for "w1"
        Registered new worker "w2"
        "w1" is waiting for more work
        Assigning a to "w1" (the next free worker)
        "w1" takes a from its local queue
        Adding a to the backlog
        Assigning a to "w1" (preferred)
        "w1" takes a from its local queue
        Adding a\n\u{1b}[31m to the backlog
        Adding (no cache hint) to the backlog
        Removed inactive reason worker pause for "w2" (now admin pause)
        Activate queue for "w2"
        Cancel (no cache hint)
        Adding a to the backlog
        "w2" takes a\n\u{1b}[31m from the main queue
        Assigning a to "w1" (preferred)
        "w2" is waiting for more work
        Assigning (no cache hint) to "w2" (the next free worker)
        "w2" takes (no cache hint) from its local queue
        Adding (no cache hint) to the backlog
        "w1" marked inactive (reassigning 1 items)
        Pushing a back on to the main queue
        Release worker "w1"
    "#]]
    .assert_eq(&s.log());
    s.end();
}

/// Returns a story in which one worker runs a job and has two more queued, and the other two do nothing.
fn one_busy_worker() -> Story {
    let mut s = Story::new();
    let (w1, w2) = (s.reg("w1"), s.reg("w2"));
    s.register("w3");
    s.pop(w1);
    s.submit("u", "job1", "a");
    s.pause();
    s.submit("v", "job2", "a");
    s.pop(w2);
    s.pause();
    s.submit_urgent("v", "job3", "a");
    let job4 = s.submit("v", "job4", "a");
    assert_eq!(s.cancel(job4), Cancel::Cancelled);
    s
}

/// Metrics are read off the state.
#[test]
fn stats() {
    let s = one_busy_worker();
    expect![[r#"
        Stats {
            submitted: 4,
            cancelled: 1,
            accepted: 1,
            connected: 3,
            capacity: 3,
            ready: 1,
            paused: 1,
            not_answering: 0,
            backlog: ByPriority {
                high: 0,
                low: 0,
            },
            workers: [
                WorkerStats {
                    name: "w1",
                    queued: ByPriority {
                        high: 1,
                        low: 1,
                    },
                    running: 1,
                },
                WorkerStats {
                    name: "w2",
                    queued: ByPriority {
                        high: 0,
                        low: 0,
                    },
                    running: 0,
                },
                WorkerStats {
                    name: "w3",
                    queued: ByPriority {
                        high: 0,
                        low: 0,
                    },
                    running: 0,
                },
            ],
            clients: [
                ClientStats {
                    id: "u",
                    queued: ByPriority {
                        high: 0,
                        low: 0,
                    },
                },
                ClientStats {
                    id: "v",
                    queued: ByPriority {
                        high: 1,
                        low: 1,
                    },
                },
            ],
        }
    "#]]
    .assert_debug_eq(&s.pool.stats());
    s.end();
}

/// Numbers are rounded as upstream does, half to even.
#[test]
fn rounding() {
    let mut s = Story::new();
    s.rate("half", 0.5);
    s.rate("more", 2.5);
    for job in 0..3 {
        s.submit("more", &format!("m{job}"), "");
    }
    for job in 0..8 {
        s.submit("half", &format!("h{job}"), "");
    }
    s.now = s.now + Duration::from_millis(400);
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [half:h7@2m half:h6@120s half:h5@100s half:h4@80s
                          half:h3@60s half:h2@40s half:h1@20s more:m2@8s more:m1@4s
                          half:h0@-0s more:m0@-0s]
        registered:
        disconnected:
        clients: half(0)+3m more(2)+12s
        cached:
    "#]]);
    s.end();
}

/// Lines are filled as upstream fills them: an item that ends in column 77 stays, one more breaks.
#[test]
fn wrapping() {
    let mut s = Story::new();
    s.submit("u", &"a".repeat(24), "");
    s.submit("u", &"b".repeat(23), "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:bbbbbbbbbbbbbbbbbbbbbbb@10s u:aaaaaaaaaaaaaaaaaaaaaaaa@0s]
        registered:
        disconnected:
        clients: u(1)+20s
        cached:
    "#]]);
    let mut s = Story::new();
    s.submit("u", &"a".repeat(24), "");
    s.submit("u", &"b".repeat(24), "");
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:bbbbbbbbbbbbbbbbbbbbbbbb@10s
                          u:aaaaaaaaaaaaaaaaaaaaaaaa@0s]
        registered:
        disconnected:
        clients: u(1)+20s
        cached:
    "#]]);

    // What is too long for any line has one of its own. Clients are filled too.
    s.submit("u", &"c".repeat(85), "");
    s.submit("u", "d", "");
    for n in 0..6 {
        s.rate(&format!("client-{n}"), 1.0);
    }
    s.expect(expect![[r#"
        capacity: 0
        queue: (backlog) [u:d@30s
                          u:ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc@20s
                          u:bbbbbbbbbbbbbbbbbbbbbbbb@10s
                          u:aaaaaaaaaaaaaaaaaaaaaaaa@0s]
        registered:
        disconnected:
        clients: client-0(1) client-1(1) client-2(1) client-3(1) client-4(1)
                 client-5(1) u(1)+40s
        cached:
    "#]]);
    s.end();
}

/// The ready list continues further left than one would think.
#[test]
fn wrapping_ready() {
    let mut s = Story::new();
    for n in 0..10 {
        let w = s.reg(&format!("worker-{n}"));
        s.pop(w);
    }
    s.expect(expect![[r#"
        capacity: 10
        queue: (ready) [worker-9 worker-8 worker-7 worker-6 worker-5 worker-4
               worker-3 worker-2 worker-1 worker-0]
        registered:
          worker-0 (0): [] (0 running)
          worker-1 (0): [] (0 running)
          worker-2 (0): [] (0 running)
          worker-3 (0): [] (0 running)
          worker-4 (0): [] (0 running)
          worker-5 (0): [] (0 running)
          worker-6 (0): [] (0 running)
          worker-7 (0): [] (0 running)
          worker-8 (0): [] (0 running)
          worker-9 (0): [] (0 running)
        disconnected:
        clients:
        cached:
    "#]]);
    s.end();
}

/// Of a very long backlog only the part that goes first is shown.
#[test]
fn long_backlog() {
    let mut pool = Pool::default();
    for _ in 0..1_234 {
        pool.submit(Time::EPOCH, &client("u"), "a", false);
    }
    let show = pool.show(Time::EPOCH);
    let lines: Vec<_> = show.lines().take(2).collect();
    expect![[r#"
        [
            "capacity: 0",
            "queue: (backlog) [(234 more) u:a@176m u:a@176m u:a@176m u:a@176m u:a@176m",
        ]
    "#]]
    .assert_debug_eq(&lines);
    assert_eq!(show.matches("u:a@").count(), 1_000);
}
