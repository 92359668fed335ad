//! Messages from the peer. Each is counted and checked, and replaced if the RPC system must not read it as it is.

use std::task::{Context, Poll, ready};

use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, ReaderSegments};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::{call, exception, message, message_target, resolve, return_};

use super::Message;
use super::exceptions::{answer_of, broken_promise, failed_answer, shortened_reason};
use crate::Limits;
use crate::close_reason::CloseReason;
use crate::frame::Frame;
use crate::ledger::{Cleanup, Ledger, Resolution};
use crate::link::{Link, Role};
use crate::restore::{self, RESERVED_QUESTION};
use crate::text::LogText;

type IncomingBox = Box<dyn capnp_rpc::IncomingMessage>;

struct Incoming<S: ReaderSegments>(Reader<S>);

impl<S: ReaderSegments> capnp_rpc::IncomingMessage for Incoming<S> {
    fn get_body(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.get_root()
    }
}

/// Returns the next message for the RPC system.
pub(super) fn poll_message(
    link: &Link,
    cx: &mut Context<'_>,
) -> Poll<Result<IncomingBox, CloseReason>> {
    if let Some(message) = link.injected.borrow_mut().pop_front() {
        return Poll::Ready(Ok(Box::new(Incoming(message.into_reader()))));
    }
    let result = ready!(link.poll_frame(cx)).and_then(|frame| accept(link, frame));
    Poll::Ready(result.or_else(|reason| {
        link.close(reason.clone());
        // What the peer holds is released first, if it is much.
        let cleanup = link.next_cleanup().map(cleanup_message);
        cleanup.ok_or(reason)
    }))
}

/// Returns the message by which a lost peer would have released something.
fn cleanup_message(cleanup: Cleanup) -> IncomingBox {
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(8));
    let root = message.init_root::<message::Builder<'_>>();
    match cleanup {
        Cleanup::Finish(question) => {
            let mut finish = root.init_finish();
            finish.set_question_id(question);
            finish.set_release_result_caps(true);
        }
        Cleanup::Release(export, references) => {
            let mut release = root.init_release();
            release.set_id(export);
            release.set_reference_count(references);
        }
    }
    Box::new(Incoming(message.into_reader()))
}

/// What to do with a message of the peer's.
enum Verdict {
    /// It has parameters or results: pass it on, with enough budget to read it more than once.
    PassPayload,
    /// Pass it on.
    Pass,
    /// Pass this on instead.
    Replace(Message),
}

fn accept(link: &Link, frame: Frame) -> Result<IncomingBox, CloseReason> {
    let size = frame.size_in_words();
    let reader = Reader::new(frame, reader_options(4 * size + 1024));
    let verdict = check(link, &reader, 8 * size).map_err(|error| match error {
        CheckError::Close(reason) => reason,
        CheckError::Unreadable(e) => CloseReason::Violation(format!("unreadable message: {e}")),
    })?;
    Ok(match verdict {
        Verdict::Pass => Box::new(Incoming(reader)),
        Verdict::PassPayload => {
            let options = reader_options(4 * size + 128 * 1024);
            Box::new(Incoming(Reader::new(reader.into_segments(), options)))
        }
        Verdict::Replace(message) => Box::new(Incoming(message.into_reader())),
    })
}

/// Returns options that limit what may be read of a message to a few times its size.
///
/// Pointers can make a small message appear large, and a copy of it would be as large as it appears.
fn reader_options(words: usize) -> ReaderOptions {
    ReaderOptions {
        traversal_limit_in_words: Some(words),
        nesting_limit: 64,
    }
}

enum CheckError {
    Close(CloseReason),
    Unreadable(Error),
}

impl From<Error> for CheckError {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

impl From<capnp::NotInSchema> for CheckError {
    fn from(e: capnp::NotInSchema) -> Self {
        Self::Unreadable(e.into())
    }
}

impl From<CloseReason> for CheckError {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

/// The text says which rule was broken.
impl From<String> for CheckError {
    fn from(rule: String) -> Self {
        Self::Close(CloseReason::Violation(rule))
    }
}

/// Notes in the ledger what a message of the peer's means, and decides what to do with it.
fn check(link: &Link, message: &Reader<Frame>, size: usize) -> Result<Verdict, CheckError> {
    let Ok(kind) = message.get_root::<message::Reader<'_>>()?.which() else {
        return Ok(Verdict::Pass);
    };
    let limits = &link.limits;
    let max_questions = if link.is_authenticated() {
        limits.questions
    } else {
        limits.unauthenticated_questions
    };
    let mut ledger = link.ledger.borrow_mut();
    match kind {
        message::Bootstrap(bootstrap) => {
            let bootstrap = bootstrap?;
            let question = unreserved(bootstrap.get_question_id())?;
            ledger.they_asked(question, None, 0, max_questions, limits)?;
            let id = restore::service_id(bootstrap)?;
            let call = restore::call_for_bootstrap(question, &id)?;
            Ok(Verdict::Replace(call))
        }
        message::Call(call) => {
            let call = call?;
            let question = unreserved(call.get_question_id())?;
            let target = target_of(call)?;
            ledger.they_asked(question, target, size, max_questions, limits)?;
            ledger.they_sent_caps(call.get_params()?, limits)?;
            Ok(Verdict::PassPayload)
        }
        message::Return(answer) => check_return(link, &mut ledger, answer?),
        message::Finish(finish) => {
            let finish = finish?;
            let question = unreserved(finish.get_question_id())?;
            ledger.they_finished(question, finish.get_release_result_caps());
            Ok(Verdict::Pass)
        }
        message::Release(release) => {
            let release = release?;
            ledger.they_released(release.get_id(), release.get_reference_count());
            Ok(Verdict::Pass)
        }
        message::Resolve(resolve) => check_resolve(&mut ledger, resolve?),
        message::Abort(abort) => {
            let reason = String::from_utf8_lossy(abort?.get_reason()?.as_bytes());
            // It is only shown.
            let reason = LogText::new(&reason).to_string();
            Err(CloseReason::AbortedByPeer(reason).into())
        }
        _ => Ok(Verdict::Pass),
    }
}

fn check_return(
    link: &Link,
    ledger: &mut Ledger,
    answer: return_::Reader<'_>,
) -> Result<Verdict, CheckError> {
    let question = answer.get_answer_id();
    let awaited = ledger.they_answered(question, answer.get_no_finish_needed());
    if awaited && let return_::Results(payload) = answer.which()? {
        ledger.they_sent_caps(payload?, &link.limits)?;
    }
    if let Role::Dialer { answered, .. } = &link.role
        && let Some(answered) = answered.take()
    {
        // Our Bootstrap is the first question, and no other is asked before its answer.
        // The dialer may have given up already.
        answered.send(answer_of(answer)?).unwrap_or(());
    }
    if let return_::Exception(exception) = answer.which()?
        && let Some(reason) = shortened_reason(exception?)?
    {
        return Ok(Verdict::Replace(failed_answer(answer, &reason)?));
    }
    Ok(Verdict::PassPayload)
}

fn check_resolve(ledger: &mut Ledger, resolve: resolve::Reader<'_>) -> Result<Verdict, CheckError> {
    let promise = resolve.get_promise_id();
    match resolve.which()? {
        resolve::Cap(target) => match ledger.they_resolved(promise, target?) {
            Resolution::Follow => Ok(Verdict::Pass),
            Resolution::Break(reason) => {
                let failed = exception::Type::Failed;
                Ok(Verdict::Replace(broken_promise(promise, failed, reason)))
            }
        },
        resolve::Exception(exception) => {
            let exception = exception?;
            Ok(match shortened_reason(exception)? {
                Some(reason) => {
                    let kind = exception.get_type().unwrap_or(exception::Type::Failed);
                    Verdict::Replace(broken_promise(promise, kind, &reason))
                }
                None => Verdict::Pass,
            })
        }
    }
}

/// Returns the question whose answer is called; `None` if a capability that the peer holds is called.
fn target_of(call: call::Reader<'_>) -> Result<Option<u32>, CheckError> {
    match call.get_target()?.which()? {
        message_target::ImportedCap(_) => Ok(None),
        message_target::PromisedAnswer(answer) => {
            let answer = answer?;
            let steps = answer.get_transform()?.len();
            let limit = Limits::TRANSFORM;
            if steps > limit {
                return Err(format!("more than {limit} steps into an answer").into());
            }
            Ok(Some(answer.get_question_id()))
        }
    }
}

/// Returns a question id of the peer's, unless it is the reserved one.
fn unreserved(question: u32) -> Result<u32, String> {
    if question == RESERVED_QUESTION {
        Err(format!("question id {question} is reserved"))
    } else {
        Ok(question)
    }
}
