//! A job that is promised: what is asked of it early, and who keeps it.

use std::rc::Rc;

use cluster_api::{Job, RpcError};
use futures::future::join;

use crate::support::{
    Events, FakeJob, FakeScheduler, description, no_worker, run, settle, through_connection,
};

#[test]
fn early_calls_are_forwarded_in_order() {
    run(async {
        let events = Events::default();
        let (resolver, job) = Job::promise();
        let job = Job::from_client(through_connection(job.into_client()));
        let early = [job.log(3), job.log(1), job.log(2)];
        let (result, cancelled) = (job.result(), job.cancel());
        settle().await;
        assert_eq!(events.take(), [""; 0]);
        resolver.resolve(Job::serve(FakeJob::new("job", &events)));
        for (answer, next) in early.into_iter().zip([4, 2, 3]) {
            assert_eq!(answer.await.unwrap().next, next);
        }
        assert_eq!(result.await, Ok("output of job".to_owned()));
        assert_eq!(cancelled.await, Ok(()));
        assert_eq!(
            events.take(),
            [
                "job: log 3",
                "job: log 1",
                "job: log 2",
                "job: result",
                "job: cancel"
            ]
        );
        // It goes on working.
        assert_eq!(job.log(7).await.unwrap().bytes, b"job");
    });
}

#[test]
fn a_promise_can_be_broken() {
    run(async {
        let (resolver, job) = Job::promise();
        let early = job.result();
        resolver.fail(RpcError::failed("Ticket cancelled"));
        assert_eq!(early.await, Err(RpcError::failed("Ticket cancelled")));
        assert_eq!(job.log(0).await, Err(RpcError::failed("Ticket cancelled")));
    });
}

#[test]
fn a_dropped_resolver_breaks_its_promise() {
    run(async {
        let (resolver, job) = Job::promise();
        let early = job.result();
        drop(resolver);
        let error = RpcError::failed("the job was given up before it started");
        assert_eq!(early.await, Err(error));
    });
}

#[test]
fn a_job_is_released_if_nobody_holds_its_promise() {
    run(async {
        let events = Events::default();
        let (resolver, promise) = Job::promise();
        drop(promise);
        resolver.resolve(Job::serve(FakeJob::new("job", &events)));
        assert_eq!(events.take(), ["job: released", "job: dropped"]);
    });
}

/// Worker, scheduler and client, each in a vat of its own: the calls that a client made early reach
/// the worker, and the job ends as soon as the client and its ticket are gone, although the
/// scheduler still waits for its result.
#[test]
fn the_client_and_its_ticket_alone_keep_the_job() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let events = &scheduler.events;
        let (submission, _to_client) = scheduler.connect_client();
        let (registration, _to_worker) = scheduler.connect_worker();

        let ticket = submission.submit("pool", &description("hint"), false);
        let job = ticket.job();
        let (result, log) = (job.result(), job.log(0));
        settle().await;
        assert_eq!(events.take(), ["submit to pool, urgent false"]);

        let queue = registration.register("w1", no_worker(), 1);
        let popped = queue.pop(Job::serve(FakeJob::new("job", events)));
        let (popped, log) = join(popped, log).await;
        assert_eq!(popped, Ok(description("hint")));
        assert_eq!(log.unwrap().bytes, b"job");
        let mut happened = events.take();
        happened.sort();
        assert_eq!(
            happened,
            [
                "job: log 0",
                "job: result",
                "job: result",
                "pop",
                "register w1, capacity 1"
            ]
        );

        drop(job);
        drop(result);
        settle().await;
        assert_eq!(events.take(), [""; 0], "the ticket still holds it");
        drop(ticket);
        settle().await;
        assert_eq!(events.take(), ["ticket: released", "job: released"]);
    });
}

#[test]
fn a_lost_client_lets_go_of_its_job() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let events = &scheduler.events;
        let (submission, to_client) = scheduler.connect_client();
        let (registration, _to_worker) = scheduler.connect_worker();
        let ticket = submission.submit("pool", &description("hint"), false);
        let result = ticket.job().result();
        let queue = registration.register("w1", no_worker(), 1);
        queue
            .pop(Job::serve(FakeJob::new("job", events)))
            .await
            .unwrap();
        settle().await;
        events.take();

        to_client.cut();
        settle().await;
        assert_eq!(events.take(), ["ticket: released", "job: released"]);
        assert!(result.await.is_err());
    });
}
