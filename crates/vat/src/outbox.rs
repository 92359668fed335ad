//! Messages that wait to be written to one peer.
//!
//! Small messages are copied into one buffer, so that the messages of one poll are sent with one write. Large segments
//! are not copied, but kept alive until they are written. An empty outbox owns no memory.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use capnp::message::{Builder, HeapAllocator};

use crate::frame::write_table;

type Message = Rc<Builder<HeapAllocator>>;

/// From which size on a segment is not copied, in bytes.
const LARGE_SEGMENT: usize = 16 * 1024;

/// The largest buffer that is kept for reuse, in bytes.
const SPARE_CAPACITY: usize = 64 * 1024;

thread_local! {
    /// A buffer for the next connection of the thread that has something to write.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The unwritten messages of one connection.
#[derive(Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// How many bytes of the first chunk are written.
    written: usize,
    /// How many bytes are unwritten.
    len: usize,
}

enum Chunk {
    Bytes(Vec<u8>),
    Segment { message: Message, index: usize },
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Segment { message, index } => message
                .get_segments_for_output()
                .get(*index)
                .copied()
                .unwrap_or_default(),
        }
    }
}

impl Outbox {
    /// Returns how many bytes are unwritten.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a message.
    pub(crate) fn push(&mut self, message: &Message) {
        let before = self.buffer().len();
        write_table(message, self.buffer());
        self.len += self.buffer().len() - before;
        for (index, segment) in message.get_segments_for_output().iter().enumerate() {
            self.len += segment.len();
            if segment.len() < LARGE_SEGMENT {
                self.buffer().extend_from_slice(segment);
            } else {
                let message = message.clone();
                self.chunks.push_back(Chunk::Segment { message, index });
            }
        }
    }

    /// Returns the buffer at the end. Adds one if there is none.
    fn buffer(&mut self) -> &mut Vec<u8> {
        if !matches!(self.chunks.back(), Some(Chunk::Bytes(_))) {
            self.chunks.push_back(Chunk::Bytes(SPARE.take()));
        }
        match self.chunks.back_mut() {
            Some(Chunk::Bytes(bytes)) => bytes,
            _ => unreachable!("it was just pushed"),
        }
    }

    /// Returns the bytes to write next; none if everything is written.
    pub(crate) fn front(&self) -> &[u8] {
        match self.chunks.front() {
            Some(chunk) => chunk.bytes().get(self.written..).unwrap_or_default(),
            None => &[],
        }
    }

    /// Notes that `count` bytes of the front are written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        self.len = self.len.saturating_sub(count);
        while let Some(chunk) = self.chunks.front()
            && chunk.bytes().len() <= self.written
        {
            self.written -= chunk.bytes().len();
            if let Some(Chunk::Bytes(bytes)) = self.chunks.pop_front() {
                recycle(bytes);
            }
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn recycle(mut bytes: Vec<u8>) {
    if bytes.capacity() <= SPARE_CAPACITY {
        bytes.clear();
        SPARE.set(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with one blob of this size.
    fn message(size: usize) -> Message {
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(4));
        let root: capnp::any_pointer::Builder<'_> = message.init_root();
        root.initn_as::<capnp::data::Builder<'_>>(size as u32)
            .fill(7);
        Rc::new(message)
    }

    fn serialized(message: &Message) -> Vec<u8> {
        capnp::serialize::write_message_to_words(message)
    }

    #[test]
    fn writes_the_standard_stream() {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for size in [1, 10, 100_000, 5, 20_000, 20_000] {
            let message = message(size);
            outbox.push(&message);
            expected.extend(serialized(&message));
        }
        assert_eq!(outbox.len(), expected.len());
        let mut written = Vec::new();
        while !outbox.is_empty() {
            let count = outbox.front().len().min(999);
            written.extend_from_slice(&outbox.front()[..count]);
            outbox.advance(count);
        }
        assert_eq!(written, expected);
        assert_eq!(outbox.front(), b"");
        assert_eq!(outbox.chunks.capacity(), 0, "an empty outbox owns nothing");
    }

    #[test]
    fn small_messages_are_written_together() {
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push(&message(10));
        }
        assert_eq!(outbox.front().len(), outbox.len());
    }

    #[test]
    fn large_segments_are_not_copied() {
        let mut outbox = Outbox::default();
        let message = message(1_000_000);
        outbox.push(&message);
        assert_eq!(Rc::strong_count(&message), 2);
        outbox.clear();
        assert_eq!(Rc::strong_count(&message), 1);
        assert!(outbox.is_empty());
    }
}
