//! An answer's text, of which there is one copy however many it is on its way to.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// A text that is sent whole. `None` once it has been handed to the connection, and when it is empty.
pub(crate) struct Text(Option<Bytes>);

impl Text {
    pub(crate) fn new(text: impl Into<Bytes>) -> Self {
        Self(Some(text.into()).filter(|text| !text.is_empty()))
    }

    /// Returns how many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, Bytes::len)
    }
}

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len() as u64)
    }
}
