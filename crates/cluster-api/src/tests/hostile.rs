//! Descriptions that were made to hurt.

use std::rc::Rc;

use capnp::Word;
use capnp::message::ReaderOptions;
use capnp::traits::Imbue as _;

use super::assemble::{BYTES, POINTERS, STRUCTS, text, to_capability, to_list, to_struct, words};
use crate::raw::schema_capnp::job_descr;
use crate::words::OneSegment;
use crate::{Description, EncodedDescription, Job, PopError, Queue, RpcError, ServeQueue};

fn copy(words: &[Word]) -> Result<EncodedDescription, RpcError> {
    let message = capnp::message::Reader::new(OneSegment(words), ReaderOptions::new());
    EncodedDescription::copy(message.get_root()?)
}

fn decode(message: &[u64]) -> Result<Description, RpcError> {
    copy(&words(message))?.decode()
}

/// A `JobDescr` with this tag of the action and these pointers, and what they point to.
fn description(tag: u64, pointers: [u64; 5], rest: &[u64]) -> Vec<u64> {
    [&[to_struct(0, 1, 5), tag][..], &pointers, rest].concat()
}

#[track_caller]
fn check_refused(message: &[u64], reason: &str) {
    assert_eq!(decode(message).unwrap_err(), RpcError::failed(reason));
}

#[test]
fn unions_of_unknown_kind_are_named() {
    check_refused(&description(7, [0; 5], &[]), "Unknown action type 7");
    let docker_build = [to_struct(0, 1, 0), 9];
    let [pointer, tag] = docker_build;
    let message = description(0, [pointer + (4 << 2), 0, 0, 0, 0], &[tag]);
    check_refused(&message, "Unknown Dockerfile type 9");
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let bad = text(b"\xff\xfe");
    let hint = description(1, [0, to_list(3, BYTES, 3), 0, 0, 0], &[bad]);
    check_refused(&hint, "description.cacheHint is not valid UTF-8");
    let repository = description(1, [0, 0, to_list(2, BYTES, 3), 0, 0], &[bad]);
    check_refused(&repository, "description.repository is not valid UTF-8");
    let commits = description(
        1,
        [0, 0, 0, to_list(1, POINTERS, 2), 0],
        &[to_list(1, BYTES, 2), to_list(1, BYTES, 3), text(b"a"), bad],
    );
    check_refused(&commits, "description.commits[1] is not valid UTF-8");
    let build_args = description(
        0,
        [to_struct(4, 1, 5), 0, 0, 0, 0],
        &[
            0,
            0,
            0,
            0,
            0,
            to_list(0, POINTERS, 1),
            to_list(0, BYTES, 3),
            bad,
        ],
    );
    check_refused(&build_args, "description.buildArgs[0] is not valid UTF-8");
    let secret_id = description(
        1,
        [0, 0, 0, 0, to_list(0, STRUCTS, 2)],
        &[to_struct(1, 0, 2), to_list(1, BYTES, 3), 0, bad],
    );
    check_refused(&secret_id, "description.secrets[0].id is not valid UTF-8");
}

#[test]
fn pointers_out_of_bounds_are_refused() {
    let error = decode(&description(1, [0, to_list(3000, BYTES, 3), 0, 0, 0], &[])).unwrap_err();
    assert!(
        error
            .reason
            .starts_with("description.cacheHint is malformed"),
        "{error}"
    );
    assert!(copy(&words(&[to_struct(7, 1, 5)])).is_err());
}

/// A message of 40 kB whose pointers share one target is not copied into 400 MB.
#[test]
fn shared_targets_are_counted_each_time() {
    let shared = 1000;
    let pointers: Vec<u64> = (0..4000)
        .map(|index| to_list(3999 - index, BYTES, 8 * shared))
        .collect();
    let rest = [pointers, vec![text(b"xxxxxxxx"); 1000]].concat();
    let message = description(1, [0, 0, 0, to_list(1, POINTERS, 4000), 0], &rest);
    check_refused(&message, "description is larger than 8388608 bytes");
}

/// A list may claim any number of elements that take no space. We do not make that many secrets of
/// them.
#[test]
fn lists_without_substance_are_refused() {
    let secrets = to_list(0, STRUCTS, 0);
    let claims = 4_000_000 << 2; // where a list of structs has how many it is of
    let error = decode(&description(1, [0, 0, 0, 0, secrets], &[claims])).unwrap_err();
    assert!(
        error.reason.starts_with("description is malformed"),
        "{error}"
    );
}

#[test]
fn cycles_are_refused() {
    // The custom payload is a list of one pointer, to itself.
    let to_itself = 1 | (0x3fff_ffff << 2) & 0xffff_ffff | POINTERS << 32 | 1 << 35;
    let message = description(
        2,
        [to_struct(4, 0, 2), 0, 0, 0, 0],
        &[0, to_list(0, POINTERS, 1), to_itself],
    );
    assert!(copy(&words(&message)).is_err());
}

#[test]
fn capabilities_are_refused() {
    let message = words(&description(
        2,
        [to_struct(4, 0, 2), 0, 0, 0, 0],
        &[0, to_capability(0)],
    ));
    let message = capnp::message::Reader::new(OneSegment(&message), ReaderOptions::new());
    let mut reader: job_descr::Reader<'_> = message.get_root().unwrap();
    let job = Job::broken(RpcError::failed("not to be called"));
    let caps = vec![Some(job.into_client().hook)];
    reader.imbue(&caps);
    let error = EncodedDescription::copy(reader).unwrap_err();
    assert_eq!(
        error,
        RpcError::failed("description cannot hold capabilities")
    );
}

/// A queue whose only job has a description that cannot be understood.
struct BadQueue;

impl ServeQueue for BadQueue {
    async fn pop(self: Rc<Self>, _job: Job) -> Result<EncodedDescription, RpcError> {
        copy(&words(&description(7, [0; 5], &[])))
    }

    async fn set_active(self: Rc<Self>, _active: bool) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

/// The worker has the job all the same, and must be able to report this to its client.
#[tokio::test]
async fn a_worker_can_tell_a_bad_description_from_no_job() {
    let queue = Queue::serve(Rc::new(BadQueue));
    let popped = queue
        .pop(Job::broken(RpcError::failed("not to be called")))
        .await;
    let reason = RpcError::failed("Unknown action type 7");
    assert_eq!(popped, Err(PopError::BadDescription(reason)));
}

/// A queue whose only job has a list of nothing in its description, of as many elements as this.
struct QueueOfNothing(u64);

impl ServeQueue for QueueOfNothing {
    async fn pop(self: Rc<Self>, _job: Job) -> Result<EncodedDescription, RpcError> {
        let secrets = to_list(0, STRUCTS, 0);
        let message = description(1, [0, 0, 0, 0, secrets], &[self.0 << 2]);
        // No worker gets a job that the scheduler refuses.
        copy(&words(&message)).or_else(|_| copy(&words(&description(1, [0; 5], &[]))))
    }

    async fn set_active(self: Rc<Self>, _active: bool) -> Result<(), RpcError> {
        Ok(())
    }

    fn released(&self) {}
}

/// A description that is accepted can be passed on: an error in place of a job would have the worker connect anew,
/// and end the jobs of others.
#[tokio::test]
async fn what_is_accepted_can_be_passed_on() {
    for elements in [0, 1, 10, 20, 50, 100, 1000, 100_000, 4_000_000, 500_000_000] {
        let queue = Queue::serve(Rc::new(QueueOfNothing(elements)));
        let popped = queue
            .pop(Job::broken(RpcError::failed("not to be called")))
            .await;
        assert!(
            !matches!(popped, Err(PopError::NoJob(_))),
            "{elements}: {popped:?}"
        );
    }
}
