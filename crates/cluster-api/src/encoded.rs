//! A description in its encoded form, for programs that pass it on without reading it.

use std::fmt;

use capnp::Word;
use capnp::message::{Builder, HeapAllocator};

use crate::durable::MAX_NAME_BYTES;
use crate::raw::schema_capnp::job_descr;
use crate::text::{long_text, malformed};
use crate::{Description, RpcError, words};

/// The limit for a description, in bytes: far more than any Dockerfile or spec needs, and small enough to keep several.
pub const MAX_DESCRIPTION_BYTES: usize = 8 << 20;

/// A description in its encoded form, as the scheduler keeps it for a queued job.
///
/// It has all fields, including those that this program does not know, so clients and workers can be newer than their
/// scheduler. It takes a few hundred bytes: one allocation of the exact size, and the cache hint. It is a copy, so that
/// the message in which it came, with its unused space, can be freed.
///
/// A description is plain data: one that holds capabilities (in a custom payload) is refused.
#[derive(Clone)]
pub struct EncodedDescription {
    /// A message of one segment: a pointer to the `JobDescr`, and the `JobDescr`.
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

    /// Checks that the description can be sent to a worker, by copying it once more.
    ///
    /// A list of elements that take no space can claim any number of them, and be too much to read. It is refused here,
    /// as a worker would take that for an error of the scheduler, and reconnect.
    fn check_passing_on(&self) -> Result<(), RpcError> {
        let words = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
        self.with_reader(|reader| {
            let copied = message.set_root(reader);
            copied.map_err(|error| malformed(&error, "description"))
        })
    }

    /// Encodes the description that `write` writes.
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

    /// Returns the description as a Rust value.
    ///
    /// # Errors
    /// When it is malformed, or has an action that this program does not know.
    pub fn decode(&self) -> Result<Description, RpcError> {
        self.with_reader(Description::read)
    }

    /// Returns it as bytes, to keep it. They hold secrets.
    pub fn to_bytes(&self) -> Vec<u8> {
        Word::words_to_bytes(&self.words).to_vec()
    }

    /// Returns what [`to_bytes`](Self::to_bytes) returned.
    ///
    /// # Errors
    /// When the bytes are no description.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RpcError> {
        let words = words::from_bytes(bytes);
        // The hint is read once more than the rest, so a long one is beyond the limit of `read`.
        Self::copy(words::read_often(&words).get_root()?)
    }

    /// Returns the kind of the job: "docker", "obuilder", or that of a custom job.
    ///
    /// # Errors
    /// When it has a kind that this program does not know, or one of more than [`MAX_NAME_BYTES`].
    pub fn kind(&self) -> Result<String, RpcError> {
        self.with_reader(|reader| match reader.get_action().which() {
            Ok(job_descr::action::DockerBuild(_)) => Ok("docker".to_owned()),
            Ok(job_descr::action::Obuilder(_)) => Ok("obuilder".to_owned()),
            Ok(job_descr::action::Custom(custom)) => long_text(
                custom
                    .map_err(|error| malformed(&error, "custom"))?
                    .get_kind(),
                "custom.kind",
                MAX_NAME_BYTES,
            ),
            Err(capnp::NotInSchema(tag)) => {
                Err(RpcError::failed(format!("Unknown kind of job {tag}")))
            }
        })
    }

    /// Returns the cache hint, the only field that a scheduler uses.
    pub fn cache_hint(&self) -> &str {
        &self.cache_hint
    }

    /// Returns its length as a message, in bytes.
    pub fn length(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Returns the memory that this takes, in bytes.
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
