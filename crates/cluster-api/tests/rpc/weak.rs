//! References to jobs that do not keep them going.

use std::rc::Rc;

use cluster_api::{Job, Pipelined, Queue, Submission, Ticket};

use crate::support::{
    Connection, Events, FakeJob, FakeScheduler, connect, description, no_worker, run, settle,
};

/// A job that runs, with its client and its worker in vats of their own.
struct Running {
    scheduler: Rc<FakeScheduler>,
    client: Option<(Submission, Pipelined<Ticket>, Job)>,
    job: Rc<FakeJob>,
    _queue: Queue,
    to_client: Connection,
    to_worker: Connection,
}

impl Running {
    async fn start(has_weak: bool) -> Self {
        let scheduler = Rc::new(FakeScheduler::default());
        scheduler.has_weak.set(has_weak);
        let (submission, to_client) = scheduler.connect_client();
        let (registration, to_worker) = scheduler.connect_worker();
        let ticket = submission.submit("pool", &description("hint"), false);
        let job = ticket.job().await.unwrap();
        let early = job.log(0);
        let queue = registration.register("w1", no_worker(), 1).await.unwrap();
        let fake = FakeJob::new("job", &scheduler.events);
        queue.pop(Job::serve(Rc::clone(&fake))).await.unwrap();
        early.await.unwrap();
        settle().await;
        scheduler.events.take();
        Self {
            scheduler,
            client: Some((submission, ticket, job)),
            job: fake,
            _queue: queue,
            to_client,
            to_worker,
        }
    }

    fn job(&self) -> Option<Job> {
        self.scheduler.weak.borrow().as_ref().unwrap().upgrade()
    }

    fn events(&self) -> Vec<String> {
        self.scheduler.events.take()
    }
}

#[test]
fn a_job_is_called_through_a_weak_reference_and_released_with_its_client() {
    run(async {
        let mut running = Running::start(true).await;
        let asked = running.job().unwrap().log(5);
        assert_eq!(asked.await.unwrap().next, 6);
        // An answer that is awaited holds nothing, either.
        let waiting = running.job().unwrap().result();
        settle().await;
        assert_eq!(running.events(), ["job: log 5", "job: result"]);
        drop(running.client.take());
        settle().await;
        let events = running.events();
        assert_eq!(events, ["ticket: released", "job: released"]);
        assert!(running.job().is_none());
        // The worker answers nevertheless.
        running.job.end.notify_waiters();
        assert_eq!(waiting.await, Ok("output of job".to_owned()));
    });
}

#[test]
fn what_was_upgraded_holds_the_job() {
    run(async {
        let mut running = Running::start(true).await;
        let held = running.job().unwrap();
        drop(running.client.take());
        settle().await;
        assert_eq!(running.events(), ["ticket: released"]);
        assert_eq!(held.log(1).await.unwrap().next, 2);
        drop(held);
        settle().await;
        assert_eq!(running.events(), ["job: log 1", "job: released"]);
    });
}

#[test]
fn a_lost_client_releases_its_job_in_spite_of_a_weak_reference() {
    run(async {
        let running = Running::start(true).await;
        running.to_client.cut();
        settle().await;
        assert_eq!(running.events(), ["ticket: released", "job: released"]);
        assert!(running.job().is_none());
    });
}

#[test]
fn no_peer_notices_a_weak_reference() {
    run(async {
        let mut sent = Vec::new();
        for has_weak in [false, true] {
            let mut running = Running::start(has_weak).await;
            let (_, _, job) = running.client.as_ref().unwrap();
            let (result, log) = (job.result(), job.log(7));
            log.await.unwrap();
            settle().await;
            running.job.end.notify_waiters();
            result.await.unwrap();
            drop(running.client.take());
            settle().await;
            let Connection {
                to_server,
                to_client,
                ..
            } = &running.to_worker;
            let worker = [to_server.everything_sent(), to_client.everything_sent()];
            let client = running.to_client.to_client.everything_sent();
            sent.push((client, worker));
        }
        assert!(!sent[0].0.is_empty());
        assert!(sent[0] == sent[1]);
    });
}

#[test]
fn a_job_in_the_same_process_has_weak_references_too() {
    run(async {
        let events = Events::default();
        let (job, weak) = Job::serve(FakeJob::new("job", &events)).with_weak();
        assert_eq!(weak.upgrade().unwrap().log(0).await.unwrap().next, 1);
        let connection = connect(job.into_client());
        let job = Job::from_client(connection.client.clone());
        assert_eq!(job.log(1).await.unwrap().next, 2);
        connection.cut();
        settle().await;
        assert_eq!(
            events.take(),
            ["job: log 0", "job: log 1", "job: released", "job: dropped"]
        );
        assert!(weak.upgrade().is_none());
    });
}
