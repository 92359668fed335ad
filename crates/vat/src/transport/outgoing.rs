//! Messages to the peer. Each is noted, and changed if the peer must not read it as it is.

use std::rc::Rc;

use capnp::capability::Promise;
use capnp::{Error, any_pointer};
use capnp_rpc::rpc_capnp::{message, resolve, return_};

use super::Message;
use super::exceptions::{error_of, set_reason, stripped_reason};
use crate::close_reason::CloseReason;
use crate::link::{Link, Role};
use crate::restore::{self, RESERVED_QUESTION};

/// A message that the RPC system is writing.
pub(super) struct Outgoing {
    pub(super) message: Message,
    pub(super) link: Rc<Link>,
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

/// Notes in the ledger what a message means, and changes it for the peer. Returns whether to send it.
fn prepare(link: &Link, message: &mut Message) -> capnp::Result<bool> {
    let mut ledger = link.ledger.borrow_mut();
    match message
        .get_root_as_reader::<message::Reader<'_>>()?
        .which()?
    {
        message::Bootstrap(bootstrap) => {
            let question = bootstrap?.get_question_id();
            ledger.we_asked(question);
            if let Role::Dialer { service, .. } = &link.role {
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
            if !link.is_authenticated() {
                // More may be read of the peer now, or the connection is to be closed.
                link.wake_reader();
            }
            if let return_::Exception(exception) = answer.which()? {
                let stripped_reason = stripped_reason(exception?)?;
                set_reason(message, stripped_reason.as_deref())?;
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
                    let stripped_reason = stripped_reason(exception?)?;
                    set_reason(message, stripped_reason.as_deref())?;
                }
            }
        }
        message::Abort(abort) => {
            let abort = error_of(abort?)?;
            let reason = link.close_reason();
            let reason = reason.unwrap_or(CloseReason::Violation(abort.extra));
            link.close(reason.clone());
            let Some(error) = reason.abort() else {
                return Ok(false);
            };
            set_reason(message, Some(&error.extra))?;
        }
        _ => {}
    }
    Ok(true)
}
