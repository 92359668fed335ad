//! Exceptions in messages: how they are read, and how their texts are limited.

use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{exception, message, resolve, return_};

use super::Message;
use crate::text;

/// The prefix that each process on the way adds to the text of an exception.
const REMOTE: &str = "remote exception: ";

/// Returns the shortened reason of an exception; `None` if it is short enough.
pub(super) fn shortened_reason(exception: exception::Reader<'_>) -> capnp::Result<Option<String>> {
    let reason = exception.get_reason()?.as_bytes();
    let is_too_long = text::is_reason_too_long(reason);
    Ok(is_too_long.then(|| text::shorten_reason(&String::from_utf8_lossy(reason)).into_owned()))
}

/// Returns a copy of an answer that is an exception, with another reason.
pub(super) fn failed_answer(answer: return_::Reader<'_>, reason: &str) -> Result<Message, Error> {
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

/// Returns whether an answer is an exception, and which.
pub(super) fn answer_of(answer: return_::Reader<'_>) -> Result<Result<(), Error>, Error> {
    Ok(match answer.which()? {
        return_::Exception(e) => Err(error_of(e?)?),
        _ => Ok(()),
    })
}

pub(super) fn error_of(e: exception::Reader<'_>) -> capnp::Result<Error> {
    let reason = String::from_utf8_lossy(e.get_reason()?.as_bytes());
    let reason = text::shorten_reason(&reason).into_owned();
    Ok(match e.get_type() {
        Ok(exception::Type::Overloaded) => Error::overloaded(reason),
        Ok(exception::Type::Disconnected) => Error::disconnected(reason),
        Ok(exception::Type::Unimplemented) => Error::unimplemented(reason),
        Ok(exception::Type::Failed) | Err(_) => Error::failed(reason),
    })
}

/// Returns a message that breaks a promise.
pub(super) fn broken_promise(promise: u32, kind: exception::Type, reason: &str) -> Message {
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(32));
    let mut resolve = message.init_root::<message::Builder<'_>>().init_resolve();
    resolve.set_promise_id(promise);
    let mut exception = resolve.init_exception();
    exception.set_type(kind);
    exception.set_reason(reason);
    message
}

/// Returns the reason of an exception without the prefixes of the processes on its way, and shortened; `None` if it
/// needs no change.
pub(super) fn stripped_reason(exception: exception::Reader<'_>) -> capnp::Result<Option<String>> {
    let reason = exception.get_reason()?.as_bytes();
    let needs_change = reason.starts_with(REMOTE.as_bytes()) || text::is_reason_too_long(reason);
    Ok(needs_change.then(|| {
        let reason = String::from_utf8_lossy(reason);
        text::shorten_reason(reason.trim_start_matches(REMOTE)).into_owned()
    }))
}

/// Sets the reason of the exception in a message, if `reason` is one.
pub(super) fn set_reason(message: &mut Message, reason: Option<&str>) -> capnp::Result<()> {
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
