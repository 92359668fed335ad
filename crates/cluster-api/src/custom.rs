//! Jobs of a kind that the schema does not describe.

use std::fmt;

use capnp::{Word, any_pointer};

use crate::encoded::MAX_DESCRIPTION_BYTES;
use crate::raw::schema_capnp::custom;
use crate::text::text;
use crate::{RpcError, words};

/// A job that is an agreement between a client and its workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomJob {
    /// Names the agreement, so that a worker can tell whether it knows it.
    pub kind: String,
    /// Whatever that kind needs.
    pub payload: CustomPayload,
}

/// A Cap'n Proto value of any type: a struct, a list, a text or nothing.
///
/// It is plain data. A payload that holds capabilities is refused: the backlog is no place for them
/// to wait in, and whoever they point to may be gone when a worker takes the job.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CustomPayload(Box<[Word]>);

impl CustomPayload {
    /// Returns a payload that is a text.
    pub fn from_text(text: &str) -> Result<Self, RpcError> {
        let words = text.len() / size_of::<Word>() + 1;
        let size = capnp::MessageSize {
            word_count: words as u64,
            cap_count: 0,
        };
        copy::<capnp::text::Owned>(size, text)
    }

    /// Returns a payload from the bytes of an unpacked message of one segment, without the segment
    /// table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RpcError> {
        let segment = words::from_bytes(bytes);
        if segment.is_empty() {
            return Ok(Self::default());
        }
        let message = words::read(&segment);
        let root: any_pointer::Reader<'_> = message.get_root()?;
        Self::read(root)
    }

    /// Returns the payload as the bytes of an unpacked message of one segment, without the segment
    /// table.
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

    fn read(payload: any_pointer::Reader<'_>) -> Result<Self, RpcError> {
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

fn copy<T: capnp::traits::Owned>(
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
            payload: CustomPayload::read(reader.get_payload())?,
        })
    }

    pub(crate) fn write(&self, mut builder: custom::Builder<'_>) -> Result<(), RpcError> {
        builder.set_kind(&self.kind);
        self.payload.write(builder.init_payload())
    }
}
