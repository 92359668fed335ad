//! Access for fuzzers. It is not part of the interface, and may change.

use capnp::message::{Reader, ReaderOptions};

use crate::words::{OneSegment, from_bytes};
use crate::{EncodedDescription, RpcError};

/// Copies a description from a message of one segment, as a scheduler does with a submitted one.
///
/// # Errors
/// When it is malformed or too large.
pub fn description(segment: &[u8]) -> Result<EncodedDescription, RpcError> {
    let words = from_bytes(segment);
    let mut options = ReaderOptions::new();
    // The limit of a connection.
    options.traversal_limit_in_words(Some(4 * words.len() + 128 * 1024));
    let message = Reader::new(OneSegment(&words), options);
    EncodedDescription::copy(message.get_root()?)
}

/// Returns the segment that a description is sent as.
pub fn segment(description: &EncodedDescription) -> &[u8] {
    capnp::Word::words_to_bytes(&description.words)
}
