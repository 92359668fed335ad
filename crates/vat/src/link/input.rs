//! What arrives on a connection.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, ReadBuf};

use super::Link;
use crate::Limits;
use crate::close_reason::CloseReason;
use crate::frame::Frame;

/// How much is read from a socket at once.
const READ_SIZE: usize = 64 * 1024;

thread_local! {
    /// The buffer that all connections of the thread read into, so that an idle one needs none.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

impl Link {
    /// Returns the next message that has arrived. Reads from the stream if there is none yet.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Result<Frame, CloseReason>> {
        loop {
            if let Some(reason) = self.close_reason() {
                return Poll::Ready(Err(reason));
            }
            if !self.is_authenticated() && self.must_wait_for_answers() {
                return self.wait_to_read(cx);
            }
            if let Some(frame) = self.decoder.borrow_mut().next() {
                self.counters.message_in();
                return Poll::Ready(Ok(frame));
            }
            if !self.is_authenticated() && self.must_wait_for_authentication() {
                return self.wait_to_read(cx);
            }
            if let Some(reason) = self.close_reason() {
                return Poll::Ready(Err(reason));
            }
            if self.has_too_much_unsent() {
                // The peer does not read, so nothing more is read from it.
                return self.wait_to_read(cx);
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => self.close(CloseReason::ClosedByPeer),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(reason)) => self.close(reason),
                Poll::Pending => return self.wait_to_read(cx),
            }
        }
    }

    /// Returns whether an unauthenticated peer has asked so much that it must first get, and read, answers.
    ///
    /// Such a peer asks for a service, and needs little else before that is answered.
    fn must_wait_for_answers(&self) -> bool {
        let Limits {
            unauthenticated_message,
            unauthenticated_questions,
            ..
        } = *self.limits;
        let ledger = self.ledger.borrow();
        self.has_too_much_unsent()
            || ledger.unanswered_bytes() > unauthenticated_message
            || ledger.unanswered() > unauthenticated_questions / 2
    }

    /// Returns whether the next message is too large for an unauthenticated peer, and the peer may yet be
    /// authenticated.
    ///
    /// If nothing is left to be answered it will not be, and the connection is closed.
    fn must_wait_for_authentication(&self) -> bool {
        let size = self.decoder.borrow().next_size();
        let limit = self.limits.unauthenticated_message;
        if size <= limit {
            return false;
        }
        if self.ledger.borrow().unanswered() == 0 {
            self.close(CloseReason::Violation(format!(
                "message of {size} bytes is over the limit of {limit} bytes for unauthenticated peers"
            )));
            return false;
        }
        true
    }

    fn wait_to_read<T>(&self, cx: &mut Context<'_>) -> Poll<T> {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads once. Returns how many bytes were read, 0 at the end of the stream.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<usize, CloseReason>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(Ok(0));
        };
        let mut decoder = self.decoder.borrow_mut();
        let mut read = |space: &mut [u8]| {
            let mut buffer = ReadBuf::new(space);
            Pin::new(&mut **stream)
                .poll_read(cx, &mut buffer)
                .map_ok(|()| buffer.filled().len())
                .map_err(|e| CloseReason::of_io_error(&e))
        };
        let count = if let Some(space) = decoder.space() {
            let count = ready!(read(space))?;
            decoder.filled(count);
            count
        } else {
            let limit = if self.is_authenticated() {
                READ_SIZE
            } else {
                READ_SIZE.min(self.limits.unauthenticated_message)
            };
            let result = SCRATCH.with_borrow_mut(|scratch| {
                let scratch = scratch.get_mut(..limit).unwrap_or_default();
                let count = ready!(read(scratch))?;
                decoder.push(scratch.get(..count).unwrap_or_default())?;
                Poll::Ready(Ok::<_, CloseReason>(count))
            });
            ready!(result)?
        };
        let memory = decoder.memory();
        drop(decoder);
        self.totals.note_incomplete(self, memory);
        self.counters.bytes_in(count);
        self.received.set(self.received.get() + count as u64);
        self.unacknowledged.set(true);
        Poll::Ready(Ok(count))
    }

    /// Returns whether part of a message has arrived, and the rest is delayed by the peer and not by us.
    pub(crate) fn awaits_rest_of_message(&self) -> bool {
        self.incomplete.get() > 0 && !self.is_closed() && !self.has_too_much_unsent()
    }

    /// Requests a quick acknowledgement if anything has arrived.
    pub(crate) fn acknowledge(&self) {
        if self.unacknowledged.take()
            && let Some(stream) = &*self.stream.borrow()
        {
            stream.socket().acknowledge_quickly();
        }
    }

    /// Reads and discards all data, until the peer ends the stream in its direction.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = &mut *stream else {
            return Poll::Ready(());
        };
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buffer = ReadBuf::new(scratch);
                match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }
}
