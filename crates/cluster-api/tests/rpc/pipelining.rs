//! Calls on what has not been answered yet leave at once.

use std::rc::Rc;

use capnp::message::ReaderOptions;
use capnp::serialize;
use capnp_rpc::rpc_capnp::{message, message_target, promised_answer};
use cluster_api::{Admin, RpcError};
use futures::future::join;

use crate::admin::FakeAdmin;
use crate::support::{
    Events, FakeJob, FakeScheduler, connect, description, no_worker, run, settle,
};

/// Shows who is called in a stream of messages.
fn show_calls(mut stream: &[u8]) -> Vec<String> {
    std::iter::from_fn(|| serialize::try_read_message(&mut stream, ReaderOptions::new()).unwrap())
        .map(|message| show_message(message.get_root().unwrap()))
        .collect()
}

fn show_message(message: message::Reader<'_>) -> String {
    match message.which().unwrap() {
        message::Bootstrap(bootstrap) => {
            format!("{}: bootstrap", bootstrap.unwrap().get_question_id())
        }
        message::Call(call) => {
            let call = call.unwrap();
            let message_target::PromisedAnswer(target) =
                call.get_target().unwrap().which().unwrap()
            else {
                return "a call on an import".to_owned();
            };
            let target = target.unwrap();
            let fields: String = target
                .get_transform()
                .unwrap()
                .iter()
                .map(|op| match op.which().unwrap() {
                    promised_answer::op::Noop(()) => String::new(),
                    promised_answer::op::GetPointerField(field) => format!(".{field}"),
                })
                .collect();
            let (question, of, method) = (
                call.get_question_id(),
                target.get_question_id(),
                call.get_method_id(),
            );
            format!("{question}: method {method} of {of}{fields}")
        }
        _ => "something else".to_owned(),
    }
}

/// What the client sends before the server has had a chance to say anything.
fn burst(connection: &crate::support::Connection) -> Vec<String> {
    show_calls(&connection.to_server.everything_sent())
}

#[test]
fn a_client_asks_for_everything_in_one_burst() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (submission, connection) = scheduler.connect_client();
        let ticket = submission.submit("pool", &description("hint"), true);
        let job = ticket.job();
        let _result = job.result();
        let _log = job.log(0);
        let _cancelled = job.cancel();
        // The client's vat has not run yet; when it does, it sends what it has before it reads.
        assert_eq!(scheduler.events.take(), [""; 0]);
        settle().await;
        let sent = burst(&connection);
        assert_eq!(
            sent.get(..6).unwrap(),
            [
                "0: bootstrap",
                "1: method 0 of 0",
                "2: method 0 of 1.0",
                "3: method 1 of 2.0",
                "4: method 0 of 2.0",
                "5: method 2 of 2.0"
            ]
        );
        assert_eq!(scheduler.events.take(), ["submit to pool, urgent true"]);
    });
}

#[test]
fn a_worker_pops_before_it_is_registered() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (registration, connection) = scheduler.connect_worker();
        let queue = registration.register("w1", no_worker(), -2);
        let job = FakeJob::new("job", &scheduler.events);
        let _popped = queue.pop(cluster_api::Job::serve(job));
        settle().await;
        assert_eq!(
            burst(&connection).get(..3).unwrap(),
            ["0: bootstrap", "1: method 0 of 0", "2: method 0 of 1.0"]
        );
        assert_eq!(scheduler.events.take(), ["register w1, capacity -2", "pop"]);
    });
}

#[test]
fn an_operator_calls_a_pool_and_saves_a_client_at_once() {
    run(async {
        let events = Events::default();
        let connection = connect(Admin::serve(FakeAdmin::new(&events)).into_client());
        let admin = Admin::from_client(connection.client.clone());
        let (shown, saved) = (admin.pool("p").show(), admin.add_client("carol").save());
        let (shown, saved) = join(shown, saved).await;
        assert_eq!(shown, Ok("the state of p".to_owned()));
        assert_eq!(saved, Ok("capnp://carol".to_owned()));
        assert_eq!(
            burst(&connection).get(..5).unwrap(),
            [
                "0: bootstrap",
                "1: method 1 of 0",
                "2: method 0 of 1.0",
                "3: method 2 of 0",
                "4: method 0 of 3.0"
            ]
        );
    });
}

#[test]
fn an_early_error_answers_the_later_calls() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (submission, _connection) = scheduler.connect_client();
        let ticket = submission.submit("zz", &description("hint"), false);
        let job = ticket.job();
        let (result, log) = (job.result(), job.log(0));
        let error = RpcError::failed(r#"Pool ID "zz" not one of {pool}"#);
        assert_eq!(ticket.await.unwrap_err(), error);
        assert_eq!(job.await.unwrap_err(), error);
        assert_eq!(result.await, Err(error.clone()));
        assert_eq!(log.await, Err(error));
    });
}

#[test]
fn a_handle_works_after_it_was_awaited() {
    run(async {
        let scheduler = Rc::new(FakeScheduler::default());
        let (submission, _connection) = scheduler.connect_client();
        let ticket = submission
            .submit("pool", &description("hint"), false)
            .await
            .unwrap();
        ticket.cancel().await.unwrap();
        assert_eq!(
            scheduler.events.take(),
            ["submit to pool, urgent false", "ticket: cancel"]
        );
    });
}
