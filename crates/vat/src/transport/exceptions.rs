//! Exceptions in messages: how they are read, and what they may say.

use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{exception, message, resolve, return_};

use super::Message;
use crate::text;

/// What each process on the way used to put before the text of an exception.
const REMOTE: &str = "remote exception: ";

/// Returns the reason of an exception as it may be passed on, if it may not be as it is.
pub(super) fn too_long(exception: exception::Reader<'_>) -> capnp::Result<Option<String>> {
    let reason = exception.get_reason()?.as_bytes();
    let is_too_long = text::is_too_long(reason);
    Ok(is_too_long.then(|| text::reason(&String::from_utf8_lossy(reason)).into_owned()))
}

/// Returns an answer that is the same exception with another reason.
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

pub(super) fn answer_of(answer: return_::Reader<'_>) -> Result<Result<(), Error>, Error> {
    Ok(match answer.which()? {
        return_::Exception(e) => Err(error_of(e?)?),
        _ => Ok(()),
    })
}

pub(super) fn error_of(e: exception::Reader<'_>) -> capnp::Result<Error> {
    let reason = String::from_utf8_lossy(e.get_reason()?.as_bytes());
    let reason = text::reason(&reason).into_owned();
    Ok(match e.get_type() {
        Ok(exception::Type::Overloaded) => Error::overloaded(reason),
        Ok(exception::Type::Disconnected) => Error::disconnected(reason),
        Ok(exception::Type::Unimplemented) => Error::unimplemented(reason),
        Ok(exception::Type::Failed) | Err(_) => Error::failed(reason),
    })
}

pub(super) fn broken_promise(promise: u32, kind: exception::Type, why: &str) -> Message {
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(32));
    let mut resolve = message.init_root::<message::Builder<'_>>().init_resolve();
    resolve.set_promise_id(promise);
    let mut exception = resolve.init_exception();
    exception.set_type(kind);
    exception.set_reason(why);
    message
}

/// Returns the text of an exception without the prefixes that each process on its way would add to otherwise, and not
/// too long; `None` if it is so already.
pub(super) fn stripped(exception: exception::Reader<'_>) -> capnp::Result<Option<String>> {
    let reason = exception.get_reason()?.as_bytes();
    let is_odd = reason.starts_with(REMOTE.as_bytes()) || text::is_too_long(reason);
    Ok(is_odd.then(|| {
        let reason = String::from_utf8_lossy(reason);
        text::reason(reason.trim_start_matches(REMOTE)).into_owned()
    }))
}

/// Gives the exception in a message another text, if there is one.
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
