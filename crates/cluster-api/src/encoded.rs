//! A description as it is on the wire, for whoever passes it on without reading it.

use std::fmt;

use capnp::Word;
use capnp::message::{Builder, HeapAllocator};

use crate::raw::schema_capnp::job_descr;
use crate::text::{long_text, malformed};
use crate::{Description, RpcError, words};

/// The largest description, in bytes: far more than any Dockerfile or spec, and little enough to
/// hold a few of.
pub const MAX_DESCRIPTION_BYTES: usize = 8 << 20;

/// A description in its encoded form: what the scheduler keeps of a queued job.
///
/// It holds every field, including those that this program does not know, so that clients and
/// workers can be newer than their scheduler. It takes a few hundred bytes: one allocation of the
/// exact size, and the cache hint. What comes from the network is copied, so that the message it
/// came in, with its spare space, can go.
///
/// Descriptions are plain data: one that holds capabilities (in a custom payload) is refused.
#[derive(Clone)]
pub struct EncodedDescription {
    /// A message of one segment: a pointer to the `JobDescr`, then that.
    pub(crate) words: Box<[Word]>,
    cache_hint: Box<str>,
}

impl EncodedDescription {
    /// Copies a description out of a message.
    pub(crate) fn copy(reader: job_descr::Reader<'_>) -> Result<Self, RpcError> {
        let cache_hint = long_text(
            reader.get_cache_hint(),
            "description.cacheHint",
            MAX_DESCRIPTION_BYTES,
        )?
        .into_boxed_str();
        let size = reader
            .total_size()
            .map_err(|error| malformed(&error, "description"))?;
        let words =
            words::copy::<job_descr::Owned>(size, reader, MAX_DESCRIPTION_BYTES, "description")?;
        let encoded = Self { words, cache_hint };
        encoded.check_passing_on()?;
        Ok(encoded)
    }

    /// Copies it as whoever passes it on will.
    ///
    /// A list of elements that take no space may claim any number of them, and be too much to read. Better refused here than when a
    /// worker is to get it: that worker would take it for an error of the scheduler, and connect anew.
    fn check_passing_on(&self) -> Result<(), RpcError> {
        let words = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
        self.with_reader(|reader| {
            let copied = message.set_root(reader);
            copied.map_err(|error| malformed(&error, "description"))
        })
    }

    /// Encodes what `write` writes.
    pub(crate) fn build(
        write: impl FnOnce(job_descr::Builder<'_>) -> Result<(), RpcError>,
    ) -> Result<Self, RpcError> {
        let mut message = Builder::new(HeapAllocator::new());
        write(message.init_root())?;
        Self::copy(message.get_root_as_reader()?)
    }

    /// Calls `pass` with a reader of the description.
    pub(crate) fn with_reader<T>(
        &self,
        pass: impl FnOnce(job_descr::Reader<'_>) -> Result<T, RpcError>,
    ) -> Result<T, RpcError> {
        let message = words::read(&self.words);
        pass(message.get_root()?)
    }

    /// Returns the description as a Rust value, or what is wrong with it.
    pub fn decode(&self) -> Result<Description, RpcError> {
        self.with_reader(Description::read)
    }

    /// Returns the cache hint, which is all that a scheduler needs to know.
    pub fn cache_hint(&self) -> &str {
        &self.cache_hint
    }

    /// Returns how many bytes it has as a message.
    pub fn length(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Returns how many bytes this holds.
    pub fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.words) + self.cache_hint.len()
    }
}

impl fmt::Debug for EncodedDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedDescription")
            .field("cache_hint", &self.cache_hint)
            .field("words", &self.words.len())
            .finish()
    }
}

/// The error for a description beyond [`MAX_DESCRIPTION_BYTES`].
pub(crate) fn too_large() -> RpcError {
    RpcError::failed(format!(
        "description is larger than {MAX_DESCRIPTION_BYTES} bytes"
    ))
}
