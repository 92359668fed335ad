//! Custom jobs: of a kind that the schema does not describe.

use std::fmt;

use capnp::traits::Owned;
use capnp::{Word, any_pointer};

use crate::encoded::MAX_DESCRIPTION_BYTES;
use crate::raw::schema_capnp::custom;
use crate::text::{malformed, text};
use crate::{RpcError, words};

/// A job of a kind on which a client and its workers have agreed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomJob {
    /// The name of the kind, by which a worker recognises it.
    pub kind: String,
    /// The data of the job.
    pub payload: CustomPayload,
}

/// A Cap'n Proto value of any type: a struct, a list, a text or nothing.
///
/// A worker that knows the type of a struct reads it with [`read`](Self::read). A Text or a Data, which are easier to
/// send from other languages, is read with [`to_text`](Self::to_text) or [`to_data`](Self::to_data).
///
/// A payload is plain data. One with capabilities is refused: while the job is queued, their objects may go away.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CustomPayload(Box<[Word]>);

impl CustomPayload {
    /// Returns a payload that is a text.
    ///
    /// # Errors
    /// When it is larger than a description may be.
    pub fn from_text(text: &str) -> Result<Self, RpcError> {
        let words = text.len() / size_of::<Word>() + 1;
        let size = capnp::MessageSize {
            word_count: words as u64,
            cap_count: 0,
        };
        copy::<capnp::text::Owned>(size, text)
    }

    /// Returns a payload that is a Data.
    ///
    /// # Errors
    /// When it is larger than a description may be.
    pub fn from_data(data: &[u8]) -> Result<Self, RpcError> {
        let size = capnp::MessageSize {
            word_count: data.len().div_ceil(size_of::<Word>()) as u64,
            cap_count: 0,
        };
        copy::<capnp::data::Owned>(size, data)
    }

    /// Returns a payload that is a Text if `bytes` can be one, and else a Data.
    ///
    /// [`to_data`](Self::to_data) returns the same bytes, with the exception that is described there.
    ///
    /// # Errors
    /// When it is larger than a description may be.
    pub fn from_text_or_data(bytes: &[u8]) -> Result<Self, RpcError> {
        match str::from_utf8(bytes) {
            Ok(text) if !bytes.contains(&0) => Self::from_text(text),
            Ok(_) | Err(_) => Self::from_data(bytes),
        }
    }

    /// Returns a copy of a value whose type the caller knows.
    ///
    /// # Errors
    /// When it is larger than a description may be, or holds capabilities.
    pub fn from_value<T: Owned>(
        value: impl capnp::traits::SetterInput<T>,
    ) -> Result<Self, RpcError> {
        let mut message = capnp::message::Builder::new_default();
        message.set_root(value)?;
        Self::from_reader(message.get_root_as_reader()?)
    }

    /// Returns a payload from the bytes of an unpacked message of one segment, without the segment table.
    ///
    /// # Errors
    /// When the message is malformed, or holds capabilities.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RpcError> {
        let segment = words::from_bytes(bytes);
        if segment.is_empty() {
            return Ok(Self::default());
        }
        let message = words::read(&segment);
        Self::from_reader(message.get_root()?)
    }

    /// Returns the payload as the bytes of an unpacked message of one segment, without the segment table.
    ///
    /// Empty if the payload is null.
    pub fn as_bytes(&self) -> &[u8] {
        Word::words_to_bytes(&self.0)
    }

    /// Returns the text, if that is what the payload is.
    pub fn to_text(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let message = words::read(&self.0);
        let text: capnp::text::Reader<'_> = message.get_root().ok()?;
        text.to_string().ok()
    }

    /// Returns the bytes, if the payload is a Text or a Data; for a null payload, no bytes.
    ///
    /// On the wire both are a list of bytes, and a Text has an additional zero at its end. A payload that could be a
    /// Text (UTF-8 with no other zero) is read as one. So a Data is returned as it was sent, unless it could be a
    /// Text: then it loses its last byte.
    pub fn to_data(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return Some(Vec::new());
        }
        let message = words::read(&self.0);
        let data: capnp::data::Reader<'_> = message.get_root().ok()?;
        let text = data.strip_suffix(&[0]);
        let text = text.filter(|text| !text.contains(&0) && str::from_utf8(text).is_ok());
        Some(text.unwrap_or(data).to_vec())
    }

    /// Calls `read` with the payload as a value of the type `T`, such as a struct of the caller's own schema,
    /// compiled for the release of `capnp` that this crate uses. A null payload is the default of that type.
    ///
    /// # Errors
    /// When the payload is not such a value, or `read` fails.
    pub fn read<T: Owned, R>(
        &self,
        read: impl FnOnce(T::Reader<'_>) -> capnp::Result<R>,
    ) -> Result<R, RpcError> {
        let null = Word::allocate_zeroed_vec(1);
        let message = words::read_often(if self.0.is_empty() { &null } else { &self.0 });
        let value = message.get_root::<T::Reader<'_>>();
        let read = value.and_then(read);
        read.map_err(|error| malformed(&error, "the payload"))
    }

    /// Returns the payload as a message of its own, with the segment table, as `capnp decode` reads it.
    pub fn to_message(&self) -> Vec<u8> {
        let null = Word::allocate_zeroed_vec(1);
        let words = if self.0.is_empty() { &null } else { &*self.0 };
        let mut message = vec![0; 4];
        // One segment, whose length is limited by that of a description.
        let length = u32::try_from(words.len()).unwrap_or(u32::MAX);
        message.extend(length.to_le_bytes());
        message.extend_from_slice(Word::words_to_bytes(words));
        message
    }

    fn from_reader(payload: any_pointer::Reader<'_>) -> Result<Self, RpcError> {
        if payload.is_null() {
            return Ok(Self::default());
        }
        copy::<any_pointer::Owned>(payload.target_size()?, payload)
    }

    fn write(&self, mut builder: any_pointer::Builder<'_>) -> Result<(), RpcError> {
        if !self.0.is_empty() {
            let message = words::read(&self.0);
            let root: any_pointer::Reader<'_> = message.get_root()?;
            builder.set_as(root)?;
        }
        Ok(())
    }
}

fn copy<T: Owned>(
    size: capnp::MessageSize,
    value: impl capnp::traits::SetterInput<T>,
) -> Result<CustomPayload, RpcError> {
    words::copy(size, value, MAX_DESCRIPTION_BYTES, "description.payload").map(CustomPayload)
}

impl fmt::Debug for CustomPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomPayload({} bytes)", self.as_bytes().len())
    }
}

impl CustomJob {
    pub(crate) fn read(reader: custom::Reader<'_>) -> Result<Self, RpcError> {
        Ok(Self {
            kind: text(reader.get_kind(), "description.kind")?,
            payload: CustomPayload::from_reader(reader.get_payload())?,
        })
    }

    pub(crate) fn write(&self, mut builder: custom::Builder<'_>) -> Result<(), RpcError> {
        builder.set_kind(&self.kind);
        self.payload.write(builder.init_payload())
    }
}
