//! What arrives on a connection.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, ReadBuf};

use super::Link;
use crate::Limits;
use crate::ending::Ending;
use crate::frame::Frame;

/// How much is read from a socket at once.
const READ_SIZE: usize = 64 * 1024;

thread_local! {
    /// Where all connections read to, as they all live on one thread: an idle one needs no buffer then.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

impl Link {
    /// Returns the next message that has arrived, reading from the stream if there is none yet.
    pub(crate) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Result<Frame, Ending>> {
        loop {
            if let Some(ending) = self.ending() {
                return Poll::Ready(Err(ending));
            }
            if !self.is_trusted() && self.has_enough_of_stranger() {
                return self.wait_to_read(cx);
            }
            if let Some(frame) = self.decoder.borrow_mut().next() {
                self.counters.message_in();
                return Poll::Ready(Ok(frame));
            }
            if !self.is_trusted() && self.is_beyond_strangers(self.decoder.borrow().expects()) {
                return self.wait_to_read(cx);
            }
            if let Some(ending) = self.ending() {
                return Poll::Ready(Err(ending));
            }
            if self.is_over_full() {
                // The peer does not read, so it has to wait with asking for more.
                return self.wait_to_read(cx);
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => self.end(Ending::ClosedByPeer),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(ending)) => self.end(ending),
                Poll::Pending => return self.wait_to_read(cx),
            }
        }
    }

    /// Returns whether a stranger has to wait for answers, or to read them, before it may ask for more: it asks for a service,
    /// and what comes before the answer to that is little.
    fn has_enough_of_stranger(&self) -> bool {
        let Limits {
            strangers_message,
            strangers_questions,
            ..
        } = *self.limits;
        let ledger = self.ledger.borrow();
        self.is_over_full()
            || ledger.unanswered_bytes() > strangers_message
            || ledger.unanswered() > strangers_questions / 2
    }

    /// Returns whether a message of this size has to wait until it is known whether the peer is a stranger, because it is
    /// too large for one. It is for good, and the connection ends, if nothing is left to be answered.
    fn is_beyond_strangers(&self, size: usize) -> bool {
        let limit = self.limits.strangers_message;
        if size <= limit {
            return false;
        }
        if self.ledger.borrow().unanswered() == 0 {
            self.end(Ending::Violation(format!(
                "message of {size} bytes is over the limit of {limit} bytes for whoever has not named a service"
            )));
            return false;
        }
        true
    }

    fn wait_to_read<T>(&self, cx: &mut Context<'_>) -> Poll<T> {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads once; returns how many bytes have come, 0 at the end of the stream.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<usize, Ending>> {
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
                .map_err(|e| Ending::of_io_error(&e))
        };
        let count = if let Some(space) = decoder.space() {
            let count = std::task::ready!(read(space))?;
            decoder.filled(count);
            count
        } else {
            let most = if self.is_trusted() {
                READ_SIZE
            } else {
                READ_SIZE.min(self.limits.strangers_message)
            };
            let result = SCRATCH.with_borrow_mut(|scratch| {
                let scratch = scratch.get_mut(..most).unwrap_or_default();
                let count = std::task::ready!(read(scratch))?;
                decoder.push(scratch.get(..count).unwrap_or_default())?;
                Poll::Ready(Ok::<_, Ending>(count))
            });
            std::task::ready!(result)?
        };
        let held = decoder.held();
        drop(decoder);
        self.totals.note_incomplete(self, held);
        self.counters.bytes_in(count);
        self.received.set(self.received.get() + count as u64);
        self.unacknowledged.set(true);
        Poll::Ready(Ok(count))
    }

    /// Returns whether a message has begun to arrive and is not whole, and it is the peer that we wait for.
    pub(crate) fn waits_for_more(&self) -> bool {
        self.incomplete.get() > 0 && !self.has_ended() && !self.is_over_full()
    }

    /// Asks for a quick acknowledgement if anything has arrived.
    pub(crate) fn acknowledge(&self) {
        if self.unacknowledged.take()
            && let Some(stream) = &*self.stream.borrow()
        {
            stream.socket().acknowledge_quickly();
        }
    }

    /// Reads and throws away all that comes, until the peer ends the stream in its direction.
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
