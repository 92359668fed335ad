//! Errors mean the same at the far end.

use std::rc::Rc;

use cluster_api::{
    Job, LogChunk, MAX_METRICS_BYTES, MAX_OUTPUT_BYTES, Metric, MetricsSource, PopError, RpcError,
    RpcErrorKind, ServeJob, ServeWorker, Submission, Ticket, TicketStatus, Worker,
};

use crate::support::{
    Events, FakeJob, FakeScheduler, FakeTicket, connect, run, settle, through_connection,
};

/// A job that fails in four ways.
struct FailingJob;

impl ServeJob for FailingJob {
    async fn log(self: Rc<Self>, start: i64) -> Result<LogChunk, RpcError> {
        match start {
            0 => Err(RpcError::failed("no log")),
            _ => Err(RpcError::overloaded("too busy")),
        }
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        Err(RpcError::disconnected(r#"worker "w1" disconnected"#))
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Err(RpcError::unimplemented("cannot stop"))
    }

    fn released(&self) {}
}

async fn check_errors(job: Job) {
    assert_eq!(job.log(0).await, Err(RpcError::failed("no log")));
    assert_eq!(job.log(1).await, Err(RpcError::overloaded("too busy")));
    let lost = RpcError::disconnected(r#"worker "w1" disconnected"#);
    assert_eq!(job.result().await, Err(lost));
    assert_eq!(
        job.cancel().await,
        Err(RpcError::unimplemented("cannot stop"))
    );
}

#[test]
fn errors_keep_kind_and_reason_through_any_number_of_vats() {
    run(async {
        let job = Job::serve(Rc::new(FailingJob));
        check_errors(job.clone()).await;
        let once = through_connection(job.into_client());
        check_errors(Job::from_client(once.clone())).await;
        let thrice = through_connection(through_connection(once));
        check_errors(Job::from_client(thrice)).await;
    });
}

#[test]
fn errors_read_as_upstreams_command_lines_show_them() {
    assert_eq!(
        RpcError::failed("Build failed").to_string(),
        "Failed: Build failed"
    );
    assert_eq!(RpcError::overloaded("x").to_string(), "Overloaded: x");
    assert_eq!(RpcError::disconnected("x").to_string(), "Disconnected: x");
    assert_eq!(RpcError::unimplemented("x").to_string(), "Unimplemented: x");
}

#[test]
fn a_malformed_message_is_a_failure_that_says_so() {
    let error = capnp::Error::from_kind(capnp::ErrorKind::MessageIsTooDeeplyNested);
    let error = RpcError::from(error);
    assert_eq!(error, RpcError::failed("Message is too deeply nested."));
}

#[test]
fn a_lost_connection_is_disconnected() {
    run(async {
        let events = Events::default();
        let connection = connect(Job::serve(FakeJob::new("job", &events)).into_client());
        let job = Job::from_client(connection.client.clone());
        let result = job.result();
        settle().await;
        connection.cut();
        assert_eq!(result.await.unwrap_err().kind, RpcErrorKind::Disconnected);
        assert_eq!(
            job.log(0).await.unwrap_err().kind,
            RpcErrorKind::Disconnected
        );
    });
}

#[test]
fn the_status_and_number_of_a_ticket_are_extensions() {
    run(async {
        let events = Events::default();
        let job = Job::serve(FakeJob::new("job", &events));
        // A ticket of ours has it; something that is not knows nothing of it, as upstream's
        // scheduler.
        let held = job.clone();
        let ours = Ticket::serve(Rc::new(FakeTicket {
            job: Box::new(move || held.clone()),
            events,
        }));
        let ours = Ticket::from_client(through_connection(ours.into_client()));
        let status = TicketStatus::Assigned {
            worker: "w1".to_owned(),
            ahead: 3,
        };
        assert_eq!(ours.status().await, Ok(status));
        assert_eq!(ours.number().await, Ok(17));
        let other = Ticket::from_client(through_connection(job.into_client()));
        assert_eq!(
            other.status().await.unwrap_err().kind,
            RpcErrorKind::Unimplemented
        );
        assert_eq!(
            other.number().await.unwrap_err().kind,
            RpcErrorKind::Unimplemented
        );
    });
}

#[test]
fn methods_that_are_not_there_are_named_as_upstream_names_them() {
    run(async {
        let job = Job::serve(Rc::new(FailingJob)).into_client();
        let job = through_connection(job);
        let submission = Submission::serve(Rc::new(FakeScheduler::default())).into_client();
        let submission = through_connection(submission);
        let (admin, persistent) = (0xdd51_f355_40da_c6ad, 0xc8cb_212f_cd9f_5691);
        let calls = [
            (&job, admin, 0),
            (&job, persistent, 0),
            (&job, 0xca66_fd1f_972e_fccc, 3),
            (&submission, persistent, 1),
        ];
        let mut answers = String::new();
        for (object, interface, method) in calls {
            let call: capnp::capability::Request<
                capnp::any_pointer::Owned,
                capnp::any_pointer::Owned,
            > = object.new_call(interface, method, None);
            let error = call.send().promise.await.err().unwrap();
            answers += &format!("{}\n", RpcError::from(error));
        }
        assert_eq!(
            answers,
            "Unimplemented: Unknown interface 15947795302981486253UL\n\
             Unimplemented: Unknown interface 14468694717054801553UL\n\
             Unimplemented: Unknown method 14584622755408182476UL.3\n\
             Unimplemented: Unknown persistence method 1\n"
        );
    });
}

#[test]
fn a_submission_that_is_not_on_file_cannot_be_saved() {
    run(async {
        let submission = Submission::serve(Rc::new(FakeScheduler::default()));
        let error = submission.save().await.unwrap_err();
        assert_eq!(error.kind, RpcErrorKind::Unimplemented);
    });
}

#[test]
fn a_broken_handle_says_why() {
    run(async {
        let job = Job::broken(RpcError::failed("No such pool"));
        assert_eq!(job.result().await, Err(RpcError::failed("No such pool")));
    });
}

#[test]
fn no_job_and_a_bad_description_are_told_apart() {
    let lost = RpcError::disconnected("Worker disconnected");
    assert_eq!(PopError::from(lost.clone()), PopError::NoJob(lost));
}

/// A job and a worker with more to say than anybody has to hear.
struct Verbose;

impl ServeJob for Verbose {
    async fn log(self: Rc<Self>, _start: i64) -> Result<LogChunk, RpcError> {
        Err(RpcError::failed("no log"))
    }

    async fn result(self: Rc<Self>) -> Result<String, RpcError> {
        Ok("x".repeat(MAX_OUTPUT_BYTES + 1))
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

impl ServeWorker for Verbose {
    async fn metrics(self: Rc<Self>, source: MetricsSource) -> Result<Metric, RpcError> {
        let (content_type, data) = match source {
            MetricsSource::Agent => (1, MAX_METRICS_BYTES + 1),
            MetricsSource::Host => (64 * 1024 + 1, 1),
        };
        Ok(Metric {
            content_type: "t".repeat(content_type),
            data: "d".repeat(data),
        })
    }

    async fn self_update(self: Rc<Self>) -> Result<std::convert::Infallible, RpcError> {
        Err(RpcError::failed("no update"))
    }

    async fn additional_metric(self: Rc<Self>, source: String) -> Result<Option<Metric>, RpcError> {
        assert!(source.is_empty(), "nobody may ask for more than that");
        Ok(None)
    }
}

#[test]
fn texts_are_refused_that_are_longer_than_they_may_be() {
    run(async {
        let refused = |field: &str, bytes: usize, limit: usize| {
            RpcError::failed(format!(
                "{field} has {bytes} bytes, and the limit is {limit}"
            ))
        };
        let job = through_connection(Job::serve(Rc::new(Verbose)).into_client());
        let result = Job::from_client(job).result().await;
        assert_eq!(result, Err(refused("output", 1_048_577, 1_048_576)));
        let worker = through_connection(Worker::serve(Rc::new(Verbose)).into_client());
        let worker = Worker::from_client(worker);
        let agent = worker.metrics(MetricsSource::Agent).await;
        assert_eq!(agent, Err(refused("data", 16_777_217, 16_777_216)));
        let host = worker.metrics(MetricsSource::Host).await;
        assert_eq!(host, Err(refused("contentType", 65_537, 65_536)));
        let named = worker.additional_metric(&"s".repeat(65_537)).await;
        assert_eq!(named, Err(refused("source", 65_537, 65_536)));
    });
}
