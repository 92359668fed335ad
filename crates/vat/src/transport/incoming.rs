//! Messages of the peer's: counted, checked, and replaced where the RPC system must not see them as they are.

use std::task::{Context, Poll};

use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, ReaderSegments};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::{call, exception, message, message_target, resolve, return_};

use super::Message;
use super::exceptions::{answer_of, broken_promise, failed_answer, too_long};
use crate::Limits;
use crate::ending::Ending;
use crate::frame::Frame;
use crate::ledger::{Debt, Resolution};
use crate::link::{Link, Role};
use crate::restore::{self, RESERVED_QUESTION};
use crate::text::Shown;

type IncomingBox = Box<dyn capnp_rpc::IncomingMessage>;

struct Incoming<S: ReaderSegments>(Reader<S>);

impl<S: ReaderSegments> capnp_rpc::IncomingMessage for Incoming<S> {
    fn get_body(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.get_root()
    }
}

pub(super) fn poll_message(link: &Link, cx: &mut Context<'_>) -> Poll<Result<IncomingBox, Ending>> {
    if let Some(message) = link.injected.borrow_mut().pop_front() {
        return Poll::Ready(Ok(Box::new(Incoming(message.into_reader()))));
    }
    let result = std::task::ready!(link.poll_frame(cx)).and_then(|frame| accept(link, frame));
    Poll::Ready(result.or_else(|ending| {
        link.end(ending.clone());
        // What is much to clear away comes first, in pieces.
        let debt = link.next_debt().map(debt_message);
        debt.ok_or(ending)
    }))
}

/// Returns what a peer would have said about what it has left behind.
fn debt_message(debt: Debt) -> IncomingBox {
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(8));
    let root = message.init_root::<message::Builder<'_>>();
    match debt {
        Debt::Finish(question) => {
            let mut finish = root.init_finish();
            finish.set_question_id(question);
            finish.set_release_result_caps(true);
        }
        Debt::Release(export, references) => {
            let mut release = root.init_release();
            release.set_id(export);
            release.set_reference_count(references);
        }
    }
    Box::new(Incoming(message.into_reader()))
}

/// What is to be done with a message of the peer's.
enum Verdict {
    /// It carries parameters or results: let it through, with room to read it more than once.
    PassPayload,
    /// Let it through.
    Pass,
    /// Let this through instead.
    Replace(Message),
}

fn accept(link: &Link, frame: Frame) -> Result<IncomingBox, Ending> {
    let size = frame.size_in_words();
    let reader = Reader::new(frame, reader_options(4 * size + 1024));
    let verdict = judge(link, &reader, 8 * size).map_err(|fault| match fault {
        Fault::Ending(ending) => ending,
        Fault::Unreadable(e) => Ending::Violation(format!("unreadable message: {e}")),
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

/// How much of a message may be read in all: a few times its size, because pointers can make a small message look
/// large, and whoever copies it would pay.
fn reader_options(words: usize) -> ReaderOptions {
    ReaderOptions {
        traversal_limit_in_words: Some(words),
        nesting_limit: 64,
    }
}

enum Fault {
    Ending(Ending),
    Unreadable(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

impl From<capnp::NotInSchema> for Fault {
    fn from(e: capnp::NotInSchema) -> Self {
        Self::Unreadable(e.into())
    }
}

impl From<Ending> for Fault {
    fn from(ending: Ending) -> Self {
        Self::Ending(ending)
    }
}

/// The text of a rule that was broken.
impl From<String> for Fault {
    fn from(rule: String) -> Self {
        Self::Ending(Ending::Violation(rule))
    }
}

/// Notes what a message of the peer's means for the ledger, and decides what becomes of it.
fn judge(link: &Link, message: &Reader<Frame>, size: usize) -> Result<Verdict, Fault> {
    let Ok(kind) = message.get_root::<message::Reader<'_>>()?.which() else {
        return Ok(Verdict::Pass);
    };
    let limits = &link.limits;
    let most = if link.is_trusted() {
        limits.questions
    } else {
        limits.strangers_questions
    };
    let mut ledger = link.ledger.borrow_mut();
    match kind {
        message::Bootstrap(bootstrap) => {
            let bootstrap = bootstrap?;
            let question = unreserved(bootstrap.get_question_id())?;
            ledger.they_asked(question, None, 0, most, limits)?;
            let id = restore::service_id(bootstrap)?;
            let call = restore::call_for_bootstrap(question, &id)?;
            Ok(Verdict::Replace(call))
        }
        message::Call(call) => {
            let call = call?;
            let question = unreserved(call.get_question_id())?;
            let target = target_of(call)?;
            ledger.they_asked(question, target, size, most, limits)?;
            ledger.they_sent_caps(call.get_params()?, limits)?;
            Ok(Verdict::PassPayload)
        }
        message::Return(answer) => {
            let answer = answer?;
            let question = answer.get_answer_id();
            let awaited = ledger.they_answered(question, answer.get_no_finish_needed());
            if awaited && let return_::Results(payload) = answer.which()? {
                ledger.they_sent_caps(payload?, limits)?;
            }
            if let Role::Using { answered, .. } = &link.role
                && let Some(answered) = answered.take()
            {
                // Our Bootstrap is the first question, and nothing else is asked before its answer.
                // Whoever waited may have given up.
                answered.send(answer_of(answer)?).unwrap_or(());
            }
            if let return_::Exception(exception) = answer.which()?
                && let Some(reason) = too_long(exception?)?
            {
                return Ok(Verdict::Replace(failed_answer(answer, &reason)?));
            }
            Ok(Verdict::PassPayload)
        }
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
        message::Resolve(resolve) => {
            let resolve = resolve?;
            let promise = resolve.get_promise_id();
            match resolve.which()? {
                resolve::Cap(target) => match ledger.they_resolved(promise, target?) {
                    Resolution::Follow => Ok(Verdict::Pass),
                    Resolution::Break(why) => {
                        let failed = exception::Type::Failed;
                        Ok(Verdict::Replace(broken_promise(promise, failed, why)))
                    }
                },
                resolve::Exception(exception) => {
                    let exception = exception?;
                    Ok(match too_long(exception)? {
                        Some(reason) => {
                            let kind = exception.get_type().unwrap_or(exception::Type::Failed);
                            Verdict::Replace(broken_promise(promise, kind, &reason))
                        }
                        None => Verdict::Pass,
                    })
                }
            }
        }
        message::Abort(abort) => {
            let reason = String::from_utf8_lossy(abort?.get_reason()?.as_bytes());
            // It is only ever shown.
            let reason = Shown::new(&reason).to_string();
            Err(Ending::AbortedByPeer(reason).into())
        }
        _ => Ok(Verdict::Pass),
    }
}

/// Returns the question whose answer is called, if it is not a capability that the peer has.
fn target_of(call: call::Reader<'_>) -> Result<Option<u32>, Fault> {
    match call.get_target()?.which()? {
        message_target::ImportedCap(_) => Ok(None),
        message_target::PromisedAnswer(answer) => {
            let answer = answer?;
            let steps = answer.get_transform()?.len();
            if steps > Limits::TRANSFORM {
                let most = Limits::TRANSFORM;
                return Err(format!("more than {most} steps into an answer").into());
            }
            Ok(Some(answer.get_question_id()))
        }
    }
}

fn unreserved(question: u32) -> Result<u32, String> {
    if question == RESERVED_QUESTION {
        Err(format!("question id {question} is reserved"))
    } else {
        Ok(question)
    }
}
