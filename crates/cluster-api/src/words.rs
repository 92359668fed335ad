//! Compact copies of Cap'n Proto values: one segment of exactly the right size.

use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, ReaderSegments};
use capnp::traits::{Owned, SetterInput};
use capnp::{MessageSize, Word};

use crate::RpcError;

/// Copies a value, including fields that this program does not know, into a segment of its own.
///
/// `size` counts the target of every pointer, so it is the size of the copy even if pointers of a small message share
/// their targets. A value larger than `limit` bytes is refused, and so is one that holds capabilities: the copy is
/// plain data.
pub(crate) fn copy<T: Owned>(
    size: MessageSize,
    value: impl SetterInput<T>,
    limit: usize,
    what: &str,
) -> Result<Box<[Word]>, RpcError> {
    if size.cap_count > 0 {
        return Err(RpcError::failed(format!("{what} cannot hold capabilities")));
    }
    let words = usize::try_from(size.word_count).unwrap_or(usize::MAX);
    let first_segment = words
        .checked_add(1) // for the pointer to the root
        .filter(|&words| words <= limit / size_of::<Word>())
        .and_then(|words| u32::try_from(words).ok())
        .ok_or_else(|| RpcError::failed(format!("{what} is larger than {limit} bytes")))?;
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(first_segment));
    message.set_root(value)?;
    single_segment(&message)
}

/// Returns the words of a message that has only one segment.
fn single_segment(message: &Builder<HeapAllocator>) -> Result<Box<[Word]>, RpcError> {
    match *message.get_segments_for_output() {
        [segment] => Ok(from_bytes(segment)),
        ref segments => Err(RpcError::failed(format!(
            "the copy has {} segments instead of one",
            segments.len()
        ))),
    }
}

/// Returns `bytes` as words; an incomplete last word is padded with zeros.
pub(crate) fn from_bytes(bytes: &[u8]) -> Box<[Word]> {
    let mut words = Word::allocate_zeroed_vec(bytes.len().div_ceil(size_of::<Word>()));
    if let Some(copy) = Word::words_to_bytes_mut(&mut words).get_mut(..bytes.len()) {
        copy.copy_from_slice(bytes);
    }
    words.into_boxed_slice()
}

/// A borrowed message of one segment.
pub(crate) struct OneSegment<'a>(pub(crate) &'a [Word]);

impl ReaderSegments for OneSegment<'_> {
    fn get_segment(&self, index: u32) -> Option<&[u8]> {
        (index == 0).then(|| Word::words_to_bytes(self.0))
    }

    fn len(&self) -> usize {
        1
    }
}

/// Reads words that [`copy`] made.
///
/// The limit for reading is twice the size of the words (computing a size also counts as reading): a list whose
/// elements take no space could otherwise claim millions of them.
pub(crate) fn read(words: &[Word]) -> Reader<OneSegment<'_>> {
    read_times(words, 2)
}

/// As [`read`], for code that may read a field many times.
pub(crate) fn read_often(words: &[Word]) -> Reader<OneSegment<'_>> {
    read_times(words, 100)
}

fn read_times(words: &[Word], times: usize) -> Reader<OneSegment<'_>> {
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(times * words.len()));
    Reader::new(OneSegment(words), options)
}
