//! What a call returns: something to await, or a handle that works already.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use capnp::capability::{Promise, Response};
use capnp::traits::{Owned, Pipelined as PipelinedResults};
use futures::future::{FutureExt as _, LocalBoxFuture, ready};

use crate::RpcError;

/// The answer to a call that has been sent.
///
/// The call is on its way whether or not this is polled. It needs neither the handle nor the
/// arguments any more, so holding an answer keeps no object alive. Dropping it cancels the call,
/// which the server may or may not notice.
#[must_use = "dropping an answer cancels its call"]
pub struct Answer<T, E = RpcError>(LocalBoxFuture<'static, Result<T, E>>);

impl<T: 'static, E: From<RpcError> + 'static> Answer<T, E> {
    /// Decodes the results of a call once they are there.
    pub(crate) fn new<R>(
        results: Promise<Response<R>, capnp::Error>,
        decode: impl FnOnce(R::Reader<'_>) -> Result<T, E> + 'static,
    ) -> Self
    where
        R: Owned + PipelinedResults + 'static,
    {
        Self(Box::pin(async move {
            let response = results.await.map_err(RpcError::from)?;
            decode(response.get().map_err(RpcError::from)?)
        }))
    }

    pub(crate) fn failed(error: RpcError) -> Self {
        Self(ready(Err(E::from(error))).boxed_local())
    }
}

impl<T, E> Future for Answer<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl<T, E> fmt::Debug for Answer<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

/// A handle to an object that a call is going to return, usable before the answer has arrived.
///
/// It derefs to the handle. Calls on it leave at once, behind the call that it comes from; should
/// that fail, they fail with the same error. Await it to see that error by itself, or to get the
/// plain handle.
///
/// While it is held, so is the object. Dropping it without a clone of the handle lets go of the
/// object, for a ticket before it has even been granted.
#[derive(Debug)]
#[must_use = "dropping it lets go of the object it stands for"]
pub struct Pipelined<T> {
    handle: T,
    answer: Answer<T>,
}

impl<T> Pipelined<T> {
    pub(crate) fn new(handle: T, answer: Answer<T>) -> Self {
        Self { handle, answer }
    }
}

impl<T> Deref for Pipelined<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.handle
    }
}

impl<T: 'static> IntoFuture for Pipelined<T> {
    type Output = Result<T, RpcError>;
    type IntoFuture = Answer<T>;

    fn into_future(self) -> Answer<T> {
        self.answer
    }
}
