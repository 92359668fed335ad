//! Internals for the fuzzer. They are no part of the public interface and may change.

use capnp::message::ReaderSegments as _;

use crate::frame::{Decoder, FrameError};

/// A message, as a list of its segments.
pub type Segments = Vec<Vec<u8>>;

/// Decodes a stream that arrives in these chunks. Returns its messages, and the error that ended it.
///
/// With `direct`, the bytes of large bodies are written directly to their place, as when they are read from a socket.
pub fn frames<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
    direct: bool,
) -> (Vec<Segments>, Option<String>) {
    let mut decoder = Decoder::new(limit);
    let mut messages = Vec::new();
    for chunk in chunks {
        let pushed = push(&mut decoder, chunk, direct);
        while let Some(frame) = decoder.next() {
            let count = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            let segments = (0..count).filter_map(|id| frame.get_segment(id));
            messages.push(segments.map(<[u8]>::to_vec).collect());
        }
        if let Err(error) = pushed {
            return (messages, Some(error.to_string()));
        }
    }
    (messages, None)
}

fn push(decoder: &mut Decoder, mut chunk: &[u8], direct: bool) -> Result<(), FrameError> {
    while direct && let Some(space) = decoder.space() {
        let count = space.len().min(chunk.len());
        let (now, later) = chunk.split_at(count);
        if now.is_empty() {
            return Ok(());
        }
        space[..count].copy_from_slice(now);
        decoder.filled(count);
        chunk = later;
    }
    decoder.push(chunk)
}
