//! Workers that return with what they have kept: each value on the wire is the same on the other side.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use cluster_api::{
    AttemptName, CancelledBy, EncodedDescription, HeldAttempt, HeldState, Job, LogChunk,
    MAX_HELD_ATTEMPTS, Outcome, PoppedJob, Queue, Registration, Rejoined, ReturningWorker,
    RpcError, RpcErrorKind, ServeJob, ServeQueue, ServeRegistration, Worker,
};

use crate::support::{Events, connect, description, no_worker, run, settle};

/// A scheduler to which one worker returns.
#[derive(Default)]
struct Scheduler {
    events: Events,
    returned: RefCell<Option<ReturningWorker>>,
    attempt: RefCell<Option<AttemptName>>,
}

impl Scheduler {
    fn connect() -> (Rc<Self>, Registration) {
        let scheduler = Rc::new(Self::default());
        let connection = connect(Registration::serve(Rc::clone(&scheduler)).into_client());
        (scheduler, Registration::from_client(connection.client))
    }
}

impl ServeRegistration for Scheduler {
    async fn register(
        self: Rc<Self>,
        _name: String,
        _worker: Worker,
        _capacity: i32,
    ) -> Result<Queue, RpcError> {
        Ok(Queue::serve(self))
    }

    async fn rejoin(self: Rc<Self>, returning: ReturningWorker) -> Result<Rejoined, RpcError> {
        self.returned.replace(Some(returning));
        Ok(Rejoined {
            queue: Queue::serve(self),
            grace: Duration::from_millis(1234),
        })
    }
}

impl ServeQueue for Scheduler {
    async fn pop(self: Rc<Self>, _job: Job) -> Result<EncodedDescription, RpcError> {
        Err(RpcError::failed("upstream's way"))
    }

    async fn pop_durable(
        self: Rc<Self>,
        _job: Job,
    ) -> Result<PoppedJob<EncodedDescription>, RpcError> {
        Ok(PoppedJob {
            description: description("hint").encode()?,
            attempt: self.attempt.borrow().clone(),
        })
    }

    async fn set_active(self: Rc<Self>, _active: bool) -> Result<(), RpcError> {
        Ok(())
    }

    async fn pruned(self: Rc<Self>, hints: Vec<String>) -> Result<(), RpcError> {
        self.events.add(format!("pruned {hints:?}"));
        Ok(())
    }

    fn released(&self) {
        self.events.add("left");
    }
}

struct Kept(Events);

impl ServeJob for Kept {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        Ok(LogChunk {
            bytes: b"log".to_vec(),
            next: start + 3,
        })
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        Ok(String::new())
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    async fn forget(self: Rc<Self>) -> Result<(), RpcError> {
        self.0.add("forgotten");
        Ok(())
    }

    fn released(&self) {}
}

/// Upstream's ways alone.
struct Old;

impl ServeRegistration for Old {
    async fn register(
        self: Rc<Self>,
        _name: String,
        _worker: Worker,
        _capacity: i32,
    ) -> Result<Queue, RpcError> {
        Ok(Queue::serve(self))
    }
}

impl ServeQueue for Old {
    async fn pop(self: Rc<Self>, _job: Job) -> Result<EncodedDescription, RpcError> {
        Err(RpcError::failed("no job"))
    }

    async fn set_active(self: Rc<Self>, _active: bool) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

fn attempt(number: u32) -> AttemptName {
    AttemptName {
        job: "28t5cy4tqkff".to_owned(),
        number,
    }
}

fn held(number: u32, state: HeldState, events: &Events) -> HeldAttempt {
    HeldAttempt {
        attempt: attempt(number),
        job: Job::serve(Rc::new(Kept(events.clone()))),
        state,
    }
}

fn returning(held: Vec<HeldAttempt>) -> ReturningWorker {
    ReturningWorker {
        name: "w1".to_owned(),
        worker: no_worker(),
        capacity: 4,
        instance: u64::MAX,
        held,
    }
}

#[test]
fn a_worker_returns_with_what_it_has_kept() {
    run(async {
        let (scheduler, registration) = Scheduler::connect();
        let states = [
            HeldState::Running,
            HeldState::Interrupted,
            HeldState::Ended(Outcome::Succeeded("image".to_owned())),
            HeldState::Ended(Outcome::Cancelled(CancelledBy::Unknown)),
            HeldState::Ended(Outcome::Failed {
                detail: "limit".to_owned(),
                exit_code: Some(3),
            }),
        ];
        let sent = (1..).zip(states.clone());
        let sent = sent.map(|(number, state)| held(number, state, &scheduler.events));
        let rejoined = registration
            .rejoin(returning(sent.collect()))
            .await
            .unwrap();
        assert_eq!(rejoined.grace, Duration::from_millis(1234));
        let returned = scheduler.returned.take().unwrap();
        assert_eq!(
            (returned.name.as_str(), returned.capacity, returned.instance),
            ("w1", 4, u64::MAX)
        );
        let received = returned.held.iter().map(|held| held.state.clone());
        assert_eq!(received.collect::<Vec<_>>(), states);
        assert_eq!(returned.held[4].attempt, attempt(5));
        let job = &returned.held[0].job;
        assert_eq!(job.log(0).await.unwrap().next, 3);
        job.forget().await.unwrap();
        drop(rejoined);
        settle().await;
        assert_eq!(scheduler.events.take(), ["forgotten", "left"]);
    });
}

#[test]
fn a_job_has_an_id_if_it_is_durable() {
    run(async {
        let (scheduler, registration) = Scheduler::connect();
        let queue = registration
            .rejoin(returning(Vec::new()))
            .await
            .unwrap()
            .queue;
        for expected in [None, Some(attempt(7))] {
            scheduler.attempt.replace(expected.clone());
            let job = Job::serve(Rc::new(Kept(Events::default())));
            let popped = queue.pop_durable(job).await.unwrap();
            assert_eq!(popped.attempt, expected);
            assert_eq!(popped.description.unwrap().cache_hint, "hint");
        }
    });
}

#[test]
fn a_worker_cannot_return_with_too_much() {
    run(async {
        let (_, registration) = Scheduler::connect();
        let many = (0..=MAX_HELD_ATTEMPTS)
            .map(|number| held(number, HeldState::Running, &Events::default()));
        let error = registration.rejoin(returning(many.collect())).await;
        let error = error.unwrap_err();
        assert!(error.reason.contains("the limit is 1000"), "{error}");
        let mut long = held(1, HeldState::Running, &Events::default());
        long.attempt.job = "x".repeat(65);
        let error = registration
            .rejoin(returning(vec![long]))
            .await
            .unwrap_err();
        assert!(error.reason.contains("held[0].job"), "{error}");
    });
}

#[test]
fn what_peers_of_upstreams_do_not_know_is_unimplemented() {
    run(async {
        let connection = connect(Registration::serve(Rc::new(Old)).into_client());
        let registration = Registration::from_client(connection.client.clone());
        let error = registration.rejoin(returning(Vec::new())).await;
        assert_eq!(error.unwrap_err().kind, RpcErrorKind::Unimplemented);
        let queue = registration.register("w1", no_worker(), 1).await.unwrap();
        let job = Job::serve(Rc::new(Kept(Events::default())));
        let error = queue.pop_durable(job).await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
        let error = queue.pruned(&[]).unwrap().await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
    });
}

#[test]
fn a_worker_reports_what_it_has_pruned() {
    run(async {
        let (scheduler, registration) = Scheduler::connect();
        let queue = registration.register("w1", no_worker(), 1).await.unwrap();
        let hints = ["a".to_owned(), String::new(), "é".repeat(1_000)];
        queue.pruned(&hints).unwrap().await.unwrap();
        queue.pruned(&[]).unwrap().await.unwrap();
        let events = scheduler.events.take();
        assert_eq!(
            events,
            [format!("pruned {hints:?}"), "pruned []".to_owned()]
        );
        // One hint is longer than any that is kept.
        let endless = queue.pruned(&["x".repeat(100_000)]).unwrap().await;
        let error = endless.unwrap_err().to_string();
        assert!(error.contains("100000 bytes"), "{error}");
    });
}

#[test]
fn an_outcome_is_kept_as_bytes() {
    let unfit = Outcome::WorkerUnfit {
        problem: "the disk is full".to_owned(),
        had_begun: true,
    };
    for outcome in [
        Outcome::Succeeded("image".to_owned()),
        unfit,
        Outcome::Abandoned,
    ] {
        let bytes = outcome.to_bytes().unwrap();
        assert_eq!(Outcome::from_bytes(&bytes), Ok(outcome));
        // A file that was cut, or is damaged.
        for length in 0..bytes.len() {
            drop(Outcome::from_bytes(&bytes[..length]));
        }
    }
    Outcome::from_bytes(&[]).unwrap_err();
    Outcome::Lost {
        reason: String::new(),
    }
    .to_bytes()
    .unwrap_err();
}
