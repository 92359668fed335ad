//! Messages on a byte stream: a table of segment sizes, then the segments.
//!
//! Bytes are pushed into the decoder, and complete messages are taken from it. It reads the table itself, so that a
//! message that is too large is refused before memory is allocated for it.

use std::collections::VecDeque;

use capnp::Word;
use capnp::message::{Builder, HeapAllocator, ReaderSegments};

use crate::Limits;

const WORD: usize = 8;

/// Bodies up to this size are allocated at once. Larger ones grow as their bytes arrive, so that a peer cannot make us
/// allocate more than about twice what it sends.
const EAGER_WORDS: usize = 1024;

/// A body of which at least so many bytes are missing is read directly into its place, without what follows it.
const DIRECT_READ: usize = 16 * 1024;

/// A message that has arrived and was not read yet.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    words: Vec<Word>,
    /// Where each segment ends, in words; empty if there is only one segment.
    ends: Vec<usize>,
}

impl Frame {
    pub(crate) fn size_in_words(&self) -> usize {
        self.words.len()
    }
}

impl ReaderSegments for Frame {
    fn get_segment(&self, id: u32) -> Option<&[u8]> {
        let words = if self.ends.is_empty() {
            (id == 0).then_some(&self.words[..])?
        } else {
            let id = id as usize;
            let start = match id.checked_sub(1) {
                Some(before) => *self.ends.get(before)?,
                None => 0,
            };
            self.words.get(start..*self.ends.get(id)?)?
        };
        Some(Word::words_to_bytes(words))
    }

    fn len(&self) -> usize {
        self.ends.len().max(1)
    }
}

/// Why a peer's bytes are no messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("message of {size} bytes is over the limit of {limit} bytes")]
    TooLarge { size: u64, limit: usize },
    #[error("message of {0} segments is over the limit of {limit} segments", limit = Limits::SEGMENTS)]
    TooManySegments(u64),
    #[error("message without content")]
    Empty,
    /// The first bytes are those of TLS.
    #[error("the other side speaks TLS")]
    Tls,
}

/// Turns bytes into frames.
#[derive(Debug)]
pub(crate) struct Decoder {
    limit: usize,
    state: State,
    ready: VecDeque<Frame>,
}

#[derive(Debug)]
enum State {
    /// The start of a segment table.
    Table(Vec<u8>),
    /// A table, and the first `filled` bytes of its body.
    Body {
        frame: Frame,
        total: usize,
        filled: usize,
    },
}

impl Decoder {
    /// Returns a decoder that refuses messages of more than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: State::Table(Vec::new()),
            ready: VecDeque::new(),
        }
    }

    /// Returns the next complete message.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let frame = self.ready.pop_front();
        if self.ready.is_empty() {
            // An idle connection keeps no memory.
            self.ready = VecDeque::new();
        }
        frame
    }

    /// Returns the size of the message that is arriving, in bytes; 0 if it is not known yet.
    pub(crate) fn next_size(&self) -> usize {
        match &self.state {
            State::Table(_) => 0,
            State::Body { total, .. } => total * WORD,
        }
    }

    /// Returns how much memory the incomplete message takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        match &self.state {
            State::Table(table) => table.capacity(),
            State::Body { frame, .. } => frame.words.len() * WORD,
        }
    }

    /// Decodes bytes that have arrived.
    ///
    /// # Errors
    ///
    /// When they are no message, or one that is too large.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Table(table) if table.is_empty() && bytes.len() >= table_size(bytes)? => {
                    let (table, later) = bytes.split_at(table_size(bytes)?);
                    self.state = self.body_of(table)?;
                    bytes = later;
                }
                State::Table(table) => {
                    let missing = table_size(table)?.saturating_sub(table.len());
                    let (now, later) = bytes.split_at(missing.min(bytes.len()));
                    table.extend_from_slice(now);
                    bytes = later;
                    if table.len() == table_size(table)? {
                        let table = std::mem::take(table);
                        self.state = self.body_of(&table)?;
                    }
                }
                State::Body {
                    frame,
                    total,
                    filled,
                } => {
                    let missing = *total * WORD - *filled;
                    let (now, later) = bytes.split_at(missing.min(bytes.len()));
                    grow(&mut frame.words, *total, *filled + now.len());
                    let space = &mut Word::words_to_bytes_mut(&mut frame.words)[*filled..];
                    space[..now.len()].copy_from_slice(now);
                    bytes = later;
                    self.filled(now.len());
                }
            }
        }
        Ok(())
    }

    /// Returns where the next bytes of a large body can be read to without a copy. Call [`Decoder::filled`] after that.
    pub(crate) fn space(&mut self) -> Option<&mut [u8]> {
        let State::Body {
            frame,
            total,
            filled,
        } = &mut self.state
        else {
            return None;
        };
        if *total * WORD - *filled < DIRECT_READ {
            return None;
        }
        grow(&mut frame.words, *total, *filled + DIRECT_READ);
        Some(&mut Word::words_to_bytes_mut(&mut frame.words)[*filled..])
    }

    /// Notes that `count` more bytes of the body are in their place.
    pub(crate) fn filled(&mut self, count: usize) {
        let State::Body { total, filled, .. } = &mut self.state else {
            return;
        };
        *filled += count;
        if *filled == *total * WORD
            && let State::Body { frame, .. } =
                std::mem::replace(&mut self.state, State::Table(Vec::new()))
        {
            self.ready.push_back(frame);
        }
    }

    /// Returns the state that follows a complete table.
    fn body_of(&self, table: &[u8]) -> Result<State, FrameError> {
        let count = segment_count(table)?;
        let mut ends = Vec::new();
        let mut total: u64 = 0;
        for size in table.chunks_exact(4).skip(1).take(count) {
            total += u64::from(u32::from_le_bytes(size.try_into().unwrap_or_default()));
            if count > 1 {
                ends.push(usize::try_from(total).unwrap_or(usize::MAX));
            }
        }
        let size = total * WORD as u64;
        if size > self.limit as u64 {
            return Err(FrameError::TooLarge {
                size,
                limit: self.limit,
            });
        }
        if total == 0 {
            return Err(FrameError::Empty);
        }
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        Ok(State::Body {
            frame: Frame {
                words: Word::allocate_zeroed_vec(total.min(EAGER_WORDS)),
                ends,
            },
            total,
            filled: 0,
        })
    }
}

/// Allocates `needed` bytes, and as many again, but no more than the body has.
fn grow(words: &mut Vec<Word>, total: usize, needed: usize) {
    if words.len() * WORD < needed {
        let target = (needed.div_ceil(WORD) * 2).min(total);
        words.reserve_exact(target - words.len());
        words.resize(target, capnp::word(0, 0, 0, 0, 0, 0, 0, 0));
    }
}

/// Returns the size of the table that starts with these bytes, or of its first part if they are too few.
fn table_size(table: &[u8]) -> Result<usize, FrameError> {
    if table.len() < 4 {
        return Ok(4);
    }
    let count = segment_count(table)?;
    Ok((4 + 4 * count).next_multiple_of(WORD))
}

fn segment_count(table: &[u8]) -> Result<usize, FrameError> {
    let [a, b, c, d, ..] = *table else {
        return Err(FrameError::Empty);
    };
    let count = u64::from(u32::from_le_bytes([a, b, c, d])) + 1;
    if count <= Limits::SEGMENTS as u64 {
        Ok(count as usize)
    } else if matches!((a, b), (0x14..=0x17, 0x03)) {
        Err(FrameError::Tls)
    } else {
        Err(FrameError::TooManySegments(count))
    }
}

/// Appends the segment table of a message.
pub(crate) fn write_table(message: &Builder<HeapAllocator>, out: &mut Vec<u8>) {
    let segments = message.get_segments_for_output();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&number(segments.len() - 1));
    for segment in segments.iter() {
        out.extend_from_slice(&number(segment.len() / WORD));
    }
    if segments.len().is_multiple_of(2) {
        out.extend_from_slice(&[0; 4]);
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
