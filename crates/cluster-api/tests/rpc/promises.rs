//! Promised jobs: early calls on them, references to them, and the messages that a peer gets.

use std::rc::Rc;

use capnp::message::ReaderOptions;
use capnp::serialize;
use capnp_rpc::rpc_capnp::{cap_descriptor, message, resolve, return_};
use cluster_api::{Admin, Job, RpcError};
use futures::future::join;

use crate::admin::FakeAdmin;
use crate::support::{
    Connection, Events, FakeJob, FakeScheduler, connect, description, no_worker, run, settle,
    through_connection,
};

#[test]
fn early_calls_are_forwarded_in_order() {
    run(async {
        let events = Events::default();
        let (resolver, job) = Job::promise();
        let job = Job::from_client(through_connection(job.job().into_client()));
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
        // It continues to work.
        assert_eq!(job.log(7).await.unwrap().bytes, b"job");
    });
}

#[test]
fn a_promise_can_be_broken() {
    run(async {
        let (resolver, promise) = Job::promise();
        let job = promise.job();
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
        let early = job.job().result();
        drop(resolver);
        let error = RpcError::failed("the job was dropped before it started");
        assert_eq!(early.await, Err(error));
    });
}

#[test]
fn a_job_is_released_if_its_promise_was_dropped() {
    run(async {
        let events = Events::default();
        let (resolver, promise) = Job::promise();
        drop(promise);
        resolver.resolve(Job::serve(FakeJob::new("job", &events)));
        assert_eq!(events.take(), ["job: released", "job: dropped"]);
    });
}

/// Worker, scheduler and client, each in a vat of its own: the calls that a client made early reach
/// the worker, and the job ends as soon as the client and its ticket are released, although the
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
fn a_lost_client_releases_its_job() {
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

/// Shows which capabilities a peer was sent as what, and what its promises have become, in order.
fn sent(connection: &Connection) -> Vec<String> {
    let stream = connection.to_client.everything_sent();
    let mut stream = stream.as_slice();
    std::iter::from_fn(|| serialize::try_read_message(&mut stream, ReaderOptions::new()).unwrap())
        .filter_map(|message| show(message.get_root().unwrap()))
        .collect()
}

fn show(message: message::Reader<'_>) -> Option<String> {
    match message.which().unwrap() {
        message::Return(answer) => {
            let answer = answer.unwrap();
            let return_::Results(results) = answer.which().unwrap() else {
                return None;
            };
            let table = results.unwrap().get_cap_table().unwrap();
            let capability = table.iter().next()?;
            Some(format!("{}: {}", answer.get_answer_id(), kind(capability)))
        }
        message::Resolve(resolve) => {
            let resolve = resolve.unwrap();
            let what = match resolve.which().unwrap() {
                resolve::Cap(capability) => kind(capability.unwrap()),
                resolve::Exception(exception) => {
                    let reason = exception.unwrap().get_reason().unwrap();
                    format!("exception: {}", reason.to_str().unwrap())
                }
            };
            Some(format!("promise {} is {what}", resolve.get_promise_id()))
        }
        _ => None,
    }
}

fn kind(capability: cap_descriptor::Reader<'_>) -> String {
    match capability.which().unwrap() {
        cap_descriptor::SenderHosted(id) => format!("capability {id}"),
        cap_descriptor::SenderPromise(id) => format!("promise {id}"),
        _ => "something else".to_owned(),
    }
}

#[test]
fn a_peer_is_told_by_an_exception_that_its_job_will_never_start() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (submission, connection) = scheduler.connect_client();
        let ticket = submission.submit("pool", &description("hint"), false);
        let job = ticket.job();
        settle().await;
        let before = sent(&connection);
        assert_eq!(
            before,
            ["0: capability 0", "1: capability 1", "2: promise 2"]
        );
        scheduler.refuse(RpcError::failed("Ticket cancelled"));
        settle().await;
        assert_eq!(
            sent(&connection).get(before.len()..).unwrap(),
            ["promise 2 is exception: Ticket cancelled"]
        );
        let error = job.result().await.unwrap_err();
        assert_eq!(error, RpcError::failed("Ticket cancelled"));

        // A call that is made now gets the same answer.
        let late = ticket.job();
        let error = late.result().await.unwrap_err();
        assert_eq!(error, RpcError::failed("Ticket cancelled"));
        settle().await;
        assert_eq!(
            sent(&connection).get(before.len() + 1..).unwrap(),
            ["3: promise 0", "promise 0 is exception: Ticket cancelled"]
        );
    });
}

#[test]
fn a_peer_is_told_when_its_job_starts() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (submission, connection) = scheduler.connect_client();
        let ticket = submission.submit("pool", &description("hint"), false);
        // It has not started, however often one asks.
        let _jobs = [ticket.job(), ticket.job()];
        settle().await;
        let before = sent(&connection);
        assert_eq!(before.get(2..).unwrap(), ["2: promise 2", "3: promise 3"]);
        let (registration, _to_worker) = scheduler.connect_worker();
        let queue = registration.register("w1", no_worker(), 1);
        let job = FakeJob::new("job", &scheduler.events);
        queue.pop(Job::serve(job)).await.unwrap();
        settle().await;
        let mut after = sent(&connection).split_off(before.len());
        after.sort();
        assert_eq!(
            after,
            ["promise 2 is capability 0", "promise 3 is capability 0"]
        );
    });
}

#[test]
fn a_refused_ticket_breaks_as_with_the_reference() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (submission, connection) = scheduler.connect_client();
        let ticket = submission.submit("nosuch", &description("hint"), false);
        let error = ticket.job().result().await.unwrap_err();
        let reason = "Pool ID \"nosuch\" not one of {pool}";
        assert_eq!(error, RpcError::failed(reason));
        settle().await;
        let sent = sent(&connection);
        let promised = sent.iter().position(|line| line == "1: promise 1");
        let broken = sent
            .iter()
            .position(|line| *line == format!("promise 1 is exception: {reason}"));
        assert!(promised.is_some() && promised < broken, "{sent:?}");
        assert!(!sent.iter().any(|line| line.starts_with("2: ")), "{sent:?}");
    });
}

#[test]
fn an_unknown_pool_of_an_operator_breaks_as_with_the_reference() {
    run(async {
        let events = Events::default();
        let connection = connect(Admin::serve(FakeAdmin::new(&events)).into_client());
        let admin = Admin::from_client(connection.client.clone());
        let error = admin.pool("nosuch").show().await.unwrap_err();
        assert_eq!(error, RpcError::failed("No such pool"));
        settle().await;
        let sent = sent(&connection);
        let broken = sent
            .iter()
            .any(|line| line.ends_with("is exception: No such pool"));
        assert!(broken, "{sent:?}");
    });
}
