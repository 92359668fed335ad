//! What is sent on a connection.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::message::{Builder, HeapAllocator};
use tokio::io::AsyncWrite as _;

use super::Link;
use crate::ending::Ending;

impl Link {
    /// Adds a message to what is to be sent, unless the peer will not read it.
    pub(crate) fn send(&self, message: &Rc<Builder<HeapAllocator>>) {
        if self.has_ended()
            || self
                .ending()
                .is_some_and(|ending| !ending.peer_may_listen())
        {
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

    /// Returns whether more waits to be written than the peer may leave unread.
    pub(crate) fn is_over_full(&self) -> bool {
        let most = if self.is_trusted() {
            self.limits.unsent
        } else {
            self.limits.strangers_message
        };
        self.outbox.borrow().len() > most
    }

    /// Writes as much as the stream takes; ready when all is written.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let was_over_full = self.is_over_full();
        let result = self.poll_write_all(cx);
        self.note_unsent();
        if was_over_full
            && !self.is_over_full()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        result.map_err(|e| Ending::of_io_error(&e))
    }

    fn poll_write_all(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(Ok(()));
        };
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            let count = std::task::ready!(Pin::new(&mut **stream).poll_write(cx, outbox.front()))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
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
