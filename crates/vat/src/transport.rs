//! What the RPC system sees of a connection: its idea of a network, with exactly one peer.
//!
//! Every message passes here in both directions, so this is where it is counted, checked, and where service ids go in and
//! out of bootstraps (see [`crate::restore`]).

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::capability::Promise;
use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, ReaderSegments};
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::{call, exception, message, message_target, resolve, return_};

use crate::Limits;
use crate::ending::Ending;
use crate::frame::Frame;
use crate::ledger::{Debt, Resolution};
use crate::link::{Link, Role};
use crate::restore::{self, RESERVED_QUESTION};
use crate::text::{self, Shown};

/// How large the first segment of a message is, in words.
const SEGMENT_WORDS: RangeInclusive<u32> = 16..=64;

/// How far the RPC system's wishes for segments exceed what is needed as a rule: it asks for 8 KiB for every call, and
/// all of it would be zeroed first.
const EXAGGERATION: u32 = 2;

/// What each process on the way used to put before the text of an exception.
const REMOTE: &str = "remote exception: ";

type Message = Builder<HeapAllocator>;

/// The one connection of one RPC system.
pub(crate) struct Network {
    link: Rc<Link>,
    /// What the RPC system gets when it waits for the peer to come, as opposed to going there itself.
    accepts: bool,
}

impl Network {
    pub(crate) fn new(link: Rc<Link>) -> Self {
        let accepts = matches!(link.role, Role::Serving);
        Self { link, accepts }
    }
}

impl capnp_rpc::VatNetwork<()> for Network {
    fn connect(&mut self, (): ()) -> Option<Box<dyn capnp_rpc::Connection<()>>> {
        Some(Box::new(Connection(self.link.clone())))
    }

    fn accept(&mut self) -> Promise<Box<dyn capnp_rpc::Connection<()>>, Error> {
        if std::mem::take(&mut self.accepts) {
            Promise::ok(Box::new(Connection(self.link.clone())))
        } else {
            Promise::from_future(std::future::pending())
        }
    }

    fn drive_until_shutdown(&mut self) -> Promise<(), Error> {
        // The connection's task reads and writes, and drops the RPC system when it is done.
        Promise::from_future(std::future::pending())
    }
}

struct Connection(Rc<Link>);

impl capnp_rpc::Connection<()> for Connection {
    fn get_peer_vat_id(&self) {}

    fn new_outgoing_message(&mut self, words: u32) -> Box<dyn capnp_rpc::OutgoingMessage> {
        let words = (words / EXAGGERATION).clamp(*SEGMENT_WORDS.start(), *SEGMENT_WORDS.end());
        Box::new(Outgoing {
            message: Builder::new(HeapAllocator::new().first_segment_words(words)),
            link: self.0.clone(),
        })
    }

    fn receive_incoming_message(
        &mut self,
    ) -> Promise<Option<Box<dyn capnp_rpc::IncomingMessage>>, Error> {
        let link = self.0.clone();
        Promise::from_future(std::future::poll_fn(move |cx| {
            poll_message(&link, cx).map(|result| match result {
                Ok(message) => Ok(Some(message)),
                Err(ending) => Err(link.exception(&ending)),
            })
        }))
    }

    fn shutdown(&mut self, result: capnp::Result<()>) -> Promise<(), Error> {
        let error = match (self.0.ending(), result) {
            (Some(ending), _) => self.0.exception(&ending),
            (None, Err(error)) => error,
            (None, Ok(())) => Error::disconnected("closed".to_owned()),
        };
        self.0.set_ended(error);
        self.0.wake();
        Promise::ok(())
    }
}

type IncomingBox = Box<dyn capnp_rpc::IncomingMessage>;

struct Incoming<S: ReaderSegments>(Reader<S>);

impl<S: ReaderSegments> capnp_rpc::IncomingMessage for Incoming<S> {
    fn get_body(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.get_root()
    }
}

fn poll_message(link: &Link, cx: &mut Context<'_>) -> Poll<Result<IncomingBox, Ending>> {
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

/// Returns the reason of an exception as it may be passed on, if it may not be as it is.
fn too_long(exception: exception::Reader<'_>) -> capnp::Result<Option<String>> {
    let reason = exception.get_reason()?.as_bytes();
    let is_too_long = text::is_too_long(reason);
    Ok(is_too_long.then(|| text::reason(&String::from_utf8_lossy(reason)).into_owned()))
}

/// Returns an answer that is the same exception with another reason.
fn failed_answer(answer: return_::Reader<'_>, reason: &str) -> Result<Message, Fault> {
    let words = 32 + reason.len() as u32 / 8;
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
    let mut copy = message.init_root::<message::Builder<'_>>().init_return();
    copy.set_answer_id(answer.get_answer_id());
    copy.set_release_param_caps(answer.get_release_param_caps());
    copy.set_no_finish_needed(answer.get_no_finish_needed());
    let mut exception = copy.init_exception();
    exception.set_reason(reason);
    if let return_::Exception(original) = answer.which()? {
        let kind = original?.get_type();
        exception.set_type(kind.unwrap_or(exception::Type::Failed));
    }
    Ok(message)
}

fn unreserved(question: u32) -> Result<u32, String> {
    if question == RESERVED_QUESTION {
        Err(format!("question id {question} is reserved"))
    } else {
        Ok(question)
    }
}

fn answer_of(answer: return_::Reader<'_>) -> Result<Result<(), Error>, Fault> {
    Ok(match answer.which()? {
        return_::Exception(e) => Err(error_of(e?)?),
        _ => Ok(()),
    })
}

fn error_of(e: exception::Reader<'_>) -> capnp::Result<Error> {
    let reason = String::from_utf8_lossy(e.get_reason()?.as_bytes());
    let reason = text::reason(&reason).into_owned();
    Ok(match e.get_type() {
        Ok(exception::Type::Overloaded) => Error::overloaded(reason),
        Ok(exception::Type::Disconnected) => Error::disconnected(reason),
        Ok(exception::Type::Unimplemented) => Error::unimplemented(reason),
        Ok(exception::Type::Failed) | Err(_) => Error::failed(reason),
    })
}

fn broken_promise(promise: u32, kind: exception::Type, why: &str) -> Message {
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(32));
    let mut resolve = message.init_root::<message::Builder<'_>>().init_resolve();
    resolve.set_promise_id(promise);
    let mut exception = resolve.init_exception();
    exception.set_type(kind);
    exception.set_reason(why);
    message
}

struct Outgoing {
    message: Message,
    link: Rc<Link>,
}

impl capnp_rpc::OutgoingMessage for Outgoing {
    fn get_body(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.message.get_root()
    }

    fn get_body_as_reader(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.message.get_root_as_reader()
    }

    fn send(self: Box<Self>) -> (Promise<(), Error>, Rc<Message>) {
        let Self { mut message, link } = *self;
        let sent = prepare(&link, &mut message);
        let message = Rc::new(message);
        let result = match sent {
            Ok(true) => {
                link.send(&message);
                Promise::ok(())
            }
            Ok(false) => Promise::ok(()),
            Err(e) => Promise::err(e),
        };
        (result, message)
    }

    fn take(self: Box<Self>) -> Message {
        self.message
    }

    fn size_in_words(&self) -> usize {
        self.message.size_in_words()
    }
}

/// Makes a message of the RPC system's what the peer should see; returns whether it should see it at all.
fn prepare(link: &Link, message: &mut Message) -> capnp::Result<bool> {
    let mut ledger = link.ledger.borrow_mut();
    match message
        .get_root_as_reader::<message::Reader<'_>>()?
        .which()?
    {
        message::Bootstrap(bootstrap) => {
            let question = bootstrap?.get_question_id();
            ledger.we_asked(question);
            if let Role::Using { service, .. } = &link.role {
                *message = restore::bootstrap(question, service)?;
            }
        }
        message::Call(call) => {
            let call = call?;
            ledger.we_asked(call.get_question_id());
            ledger.we_sent_caps(call.get_params()?)?;
        }
        message::Return(answer) => {
            let answer = answer?;
            let question = answer.get_answer_id();
            if question == RESERVED_QUESTION {
                return Ok(false);
            }
            let results = match answer.which()? {
                return_::Results(results) => Some(results?),
                _ => None,
            };
            ledger.we_answered(question, answer.get_no_finish_needed(), results)?;
            if !link.is_trusted() {
                // What has waited for it may be read now, or not at all.
                link.wake_reader();
            }
            if let return_::Exception(exception) = answer.which()? {
                let stripped = stripped(exception?)?;
                set_reason(message, stripped.as_deref())?;
            }
        }
        message::Finish(finish) => ledger.we_finished(finish?.get_question_id()),
        message::Release(release) => {
            let release = release?;
            ledger.we_released(release.get_id(), release.get_reference_count());
        }
        message::Resolve(resolve) => {
            let resolve = resolve?;
            let promise = resolve.get_promise_id();
            match resolve.which()? {
                resolve::Cap(target) => ledger.we_resolved(promise, Some(target?)),
                resolve::Exception(exception) => {
                    ledger.we_resolved(promise, None);
                    let stripped = stripped(exception?)?;
                    set_reason(message, stripped.as_deref())?;
                }
            }
        }
        message::Abort(abort) => {
            let abort = error_of(abort?)?;
            let ending = link.ending();
            let ending = ending.unwrap_or(Ending::Violation(abort.extra));
            link.end(ending.clone());
            let Some(error) = ending.abort() else {
                return Ok(false);
            };
            set_reason(message, Some(&error.extra))?;
        }
        _ => {}
    }
    Ok(true)
}

/// Returns the text of an exception without the prefixes that each process on its way would add to otherwise, and not
/// too long; `None` if it is so already.
fn stripped(exception: exception::Reader<'_>) -> capnp::Result<Option<String>> {
    let reason = exception.get_reason()?.as_bytes();
    let is_odd = reason.starts_with(REMOTE.as_bytes()) || text::is_too_long(reason);
    Ok(is_odd.then(|| {
        let reason = String::from_utf8_lossy(reason);
        text::reason(reason.trim_start_matches(REMOTE)).into_owned()
    }))
}

/// Gives the exception in a message another text, if there is one.
fn set_reason(message: &mut Message, reason: Option<&str>) -> capnp::Result<()> {
    let Some(reason) = reason else {
        return Ok(());
    };
    let root = message.get_root::<message::Builder<'_>>()?;
    let mut exception = match root.which()? {
        message::Abort(abort) => abort?,
        message::Return(answer) => match answer?.which()? {
            return_::Exception(exception) => exception?,
            _ => return Ok(()),
        },
        message::Resolve(resolve) => match resolve?.which()? {
            resolve::Exception(exception) => exception?,
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    exception.set_reason(reason);
    Ok(())
}
