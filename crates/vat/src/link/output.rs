//! What is sent on a connection.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use capnp::message::{Builder, HeapAllocator};
use tokio::io::AsyncWrite as _;

use super::Link;
use crate::close_reason::CloseReason;

impl Link {
    /// Queues a message, unless the peer cannot read it any more.
    pub(crate) fn send(&self, message: &Rc<Builder<HeapAllocator>>) {
        let may_be_read = || self.close_reason().is_none_or(|r| r.peer_may_read());
        if self.is_closed() || !may_be_read() {
            return;
        }
        self.outbox.borrow_mut().push(message);
        self.note_unsent();
        self.counters.message_out();
        self.wake();
    }

    fn note_unsent(&self) {
        let unsent = self.outbox.borrow().len();
        self.totals.note_unsent(self, unsent);
    }

    /// Returns whether more data waits to be sent than the peer may leave unread.
    pub(crate) fn has_too_much_unsent(&self) -> bool {
        let limit = if self.is_authenticated() {
            self.limits.unsent
        } else {
            self.limits.unauthenticated_message
        };
        self.outbox.borrow().len() > limit
    }

    /// Writes as much as the stream takes. Ready when everything is written.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let had_too_much_unsent = self.has_too_much_unsent();
        let result = self.poll_write_all(cx);
        self.note_unsent();
        if had_too_much_unsent && !self.has_too_much_unsent() {
            self.wake_reader();
        }
        result.map_err(|e| CloseReason::of_io_error(&e))
    }

    fn poll_write_all(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(Ok(()));
        };
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let count = ready!(Pin::new(&mut **stream).poll_write(cx, outbox.front()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outbox.advance(count);
            self.counters.bytes_out(count);
        }
        Pin::new(&mut **stream).poll_flush(cx)
    }

    /// Ends the stream in our direction.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.stream.borrow_mut() {
            Some(stream) => Pin::new(stream).poll_shutdown(cx).map(drop),
            None => Poll::Ready(()),
        }
    }
}
