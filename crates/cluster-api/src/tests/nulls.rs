//! Peers may leave out what is empty: parameters, results and pointers in them.

use std::rc::Rc;

use capnp::any_pointer;
use capnp::message::ReaderOptions;
use capnp::traits::{HasTypeId as _, Imbue as _};

use super::assemble::{BYTES, to_capability, to_list, to_struct, words};

use crate::raw::schema_capnp::{job, queue, registration, submission, worker};
use crate::text::capability;
use crate::words::OneSegment;
use crate::{
    EncodedDescription, Job, LogChunk, Queue, Registration, RpcError, RpcErrorKind, ServeQueue,
    ServeRegistration, ServeSubmission, Submission, Ticket, Worker,
};

/// Answers everything with nothing.
struct Silent;

impl job::Server for Silent {
    async fn log(
        self: Rc<Self>,
        _: job::LogParams,
        _: job::LogResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn result(
        self: Rc<Self>,
        _: job::ResultParams,
        _: job::ResultResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

impl submission::Server for Silent {
    async fn submit(
        self: Rc<Self>,
        _: submission::SubmitParams,
        _: submission::SubmitResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// Refuses everything, having seen that the arguments were read.
struct Strict;

impl ServeQueue for Strict {
    async fn pop(self: Rc<Self>, _job: Job) -> Result<EncodedDescription, RpcError> {
        Err(RpcError::failed("there was a job"))
    }

    async fn set_active(self: Rc<Self>, active: bool) -> Result<(), RpcError> {
        Err(RpcError::failed(format!("active: {active}")))
    }

    fn released(&self) {}
}

impl ServeRegistration for Strict {
    async fn register(
        self: Rc<Self>,
        _name: String,
        _worker: Worker,
        _capacity: i32,
    ) -> Result<Queue, RpcError> {
        Err(RpcError::failed("there was a worker"))
    }
}

impl ServeSubmission for Strict {
    async fn submit(
        self: Rc<Self>,
        pool: String,
        description: EncodedDescription,
        urgent: bool,
    ) -> Result<Ticket, RpcError> {
        let hint = description.cache_hint();
        Err(RpcError::failed(format!(
            "pool {pool:?}, hint {hint:?}, urgent {urgent}"
        )))
    }
}

/// Calls a method without parameters.
async fn call_with_null(
    client: &capnp::capability::Client,
    interface: u64,
    method: u16,
) -> RpcError {
    let request =
        client.new_call::<any_pointer::Owned, any_pointer::Owned>(interface, method, None);
    match request.send().promise.await {
        Ok(_) => panic!("the call succeeded"),
        Err(error) => error.into(),
    }
}

#[tokio::test]
async fn null_results_are_empty_ones() {
    let job = Job::from_raw(capnp_rpc::new_client(Silent));
    let end = LogChunk {
        bytes: Vec::new(),
        next: 0,
    };
    assert_eq!(job.log(0).await, Ok(end));
    assert_eq!(job.result().await, Ok(String::new()));
}

#[tokio::test]
async fn a_missing_capability_is_an_error() {
    let submission = Submission::from_raw(capnp_rpc::new_client(Silent));
    let description = Strict::any_description();
    let submitted = submission.submit_encoded("pool", &description, false);
    let error = submitted.await.unwrap_err();
    assert_eq!(error, RpcError::failed("the answer has no ticket"));
}

impl Strict {
    fn any_description() -> EncodedDescription {
        EncodedDescription::build(|_| Ok(())).unwrap()
    }
}

#[tokio::test]
async fn null_parameters_are_empty_ones() {
    let submission = Submission::serve(Rc::new(Strict)).into_client();
    let error = call_with_null(&submission, submission::Client::TYPE_ID, 0).await;
    assert_eq!(error, RpcError::failed(r#"pool "", hint "", urgent false"#));
    let queue = Queue::serve(Rc::new(Strict)).into_client();
    let error = call_with_null(&queue, queue::Client::TYPE_ID, 1).await;
    assert_eq!(error, RpcError::failed("active: false"));
}

#[tokio::test]
async fn null_capabilities_have_upstreams_texts() {
    let queue = Queue::serve(Rc::new(Strict)).into_client();
    let error = call_with_null(&queue, queue::Client::TYPE_ID, 0).await;
    assert_eq!(error, RpcError::failed("Missing job!"));
    let registration = Registration::serve(Rc::new(Strict)).into_client();
    let error = call_with_null(&registration, registration::Client::TYPE_ID, 0).await;
    assert_eq!(error, RpcError::failed("Missing worker argument!"));
}

#[tokio::test]
async fn unknown_interfaces_and_methods_are_unimplemented() {
    let queue = Queue::serve(Rc::new(Strict)).into_client();
    let wrong_interface = call_with_null(&queue, worker::Client::TYPE_ID, 0).await;
    assert_eq!(wrong_interface.kind, RpcErrorKind::Unimplemented);
    let wrong_method = call_with_null(&queue, queue::Client::TYPE_ID, 99).await;
    assert_eq!(wrong_method.kind, RpcErrorKind::Unimplemented);
}

/// A pointer to an entry `none` of the capability table is null by another name.
#[test]
fn a_capability_of_none_is_null() {
    let message = words(&[to_struct(0, 0, 1), to_capability(0)]);
    let message = capnp::message::Reader::new(OneSegment(&message), ReaderOptions::new());
    let mut params: queue::pop_params::Reader<'_> = message.get_root().unwrap();
    let caps = vec![None];
    params.imbue(&caps);
    assert!(matches!(capability(params.get_job(), "job"), Ok(None)));
}

#[test]
fn what_is_no_capability_is_malformed() {
    let message = words(&[to_struct(0, 0, 1), to_list(0, BYTES, 0)]);
    let message = capnp::message::Reader::new(OneSegment(&message), ReaderOptions::new());
    let params: queue::pop_params::Reader<'_> = message.get_root().unwrap();
    let Err(error) = capability(params.get_job(), "job") else {
        panic!("a list is not a capability");
    };
    assert!(error.reason.starts_with("job is malformed"), "{error}");
}
