//! The answers to calls: futures, and handles that can be called at once.

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
/// The call is sent whether or not this is polled. An answer holds neither the handle nor the arguments, so it keeps no
/// object alive. Dropping it cancels the call, which the server may not notice in time.
#[must_use = "dropping an answer cancels its call"]
pub struct Answer<T, E = RpcError>(LocalBoxFuture<'static, Result<T, E>>);

impl<T: 'static, E: From<RpcError> + 'static> Answer<T, E> {
    /// Decodes the results of a call when they arrive.
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

/// A handle to an object that a call will return, usable before the answer arrives.
///
/// It derefs to the handle. Calls on it are sent at once, after the call that returns the object. If that fails, they
/// fail with the same error. Await it to get that error, or the plain handle.
///
/// It holds the object. Dropping it without a clone of the handle releases the object: a ticket even before it exists.
#[derive(Debug)]
#[must_use = "dropping it releases the object"]
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
