//! Reading and writing Text, Lists and capabilities, with errors that name the field and with a limit for each text.

use std::fmt::Display;

use capnp::{MessageSize, text, text_list};

use crate::RpcError;

/// The limit for names, URLs, lines of progress and other short texts, in bytes. Receivers may set lower limits.
const TEXT_BYTES: usize = 64 << 10;

/// Reads a Text field of at most 64 KiB, which must be UTF-8.
pub(crate) fn text(
    value: capnp::Result<text::Reader<'_>>,
    field: impl Display,
) -> Result<String, RpcError> {
    long_text(value, field, TEXT_BYTES)
}

/// Reads a Text field of at most `limit` bytes, which must be UTF-8.
pub(crate) fn long_text(
    value: capnp::Result<text::Reader<'_>>,
    field: impl Display,
    limit: usize,
) -> Result<String, RpcError> {
    let value = value.map_err(|error| malformed(&error, &field))?;
    let bytes = value.len();
    if bytes > limit {
        return Err(RpcError::failed(format!(
            "{field} has {bytes} bytes, and the limit is {limit}"
        )));
    }
    value
        .to_string()
        .map_err(|_| RpcError::failed(format!("{field} is not valid UTF-8")))
}

/// Reads a field of type List(Text), all of which must be UTF-8 and have at most 64 KiB.
pub(crate) fn texts(
    value: capnp::Result<text_list::Reader<'_>>,
    field: impl Display,
) -> Result<Vec<String>, RpcError> {
    long_texts(value, field, TEXT_BYTES)
}

/// Reads a field of type List(Text), all of which must be UTF-8 and have at most `limit` bytes.
pub(crate) fn long_texts(
    value: capnp::Result<text_list::Reader<'_>>,
    field: impl Display,
    limit: usize,
) -> Result<Vec<String>, RpcError> {
    value
        .map_err(|error| malformed(&error, &field))?
        .iter()
        .enumerate()
        .map(|(index, value)| long_text(value, format_args!("{field}[{index}]"), limit))
        .collect()
}

/// Writes a field of type List(Text).
///
/// The list must have been initialised with the length of `values`.
pub(crate) fn set_texts(mut list: text_list::Builder<'_>, values: &[String]) {
    for (index, value) in (0..).zip(values) {
        list.set(index, value);
    }
}

/// Returns the length of a list as it is on the wire.
pub(crate) fn list_length<T>(values: &[T], field: impl Display) -> Result<u32, RpcError> {
    // A list pointer has 29 bits for the length.
    u32::try_from(values.len())
        .ok()
        .filter(|&length| length < 1 << 29)
        .ok_or_else(|| RpcError::failed(format!("{field} has too many elements")))
}

/// Checks that a list of structs has no more elements than the struct around it has words.
///
/// A list whose elements take no space can claim any number of them.
pub(crate) fn check_length(
    size: capnp::Result<MessageSize>,
    length: u32,
    field: impl Display,
) -> Result<(), RpcError> {
    let words = size.map_err(|error| malformed(&error, &field))?.word_count;
    if u64::from(length) > words {
        return Err(RpcError::failed(format!(
            "{field} has more elements than fit into its message"
        )));
    }
    Ok(())
}

/// Reads a capability, which may be null.
pub(crate) fn capability<C>(
    value: capnp::Result<C>,
    field: impl Display,
) -> Result<Option<C>, RpcError> {
    use capnp::ErrorKind::{
        MessageContainsInvalidCapabilityPointer, MessageContainsNullCapabilityPointer,
    };
    match value {
        Ok(client) => Ok(Some(client)),
        // A pointer to an empty entry of the capability table is an invalid one. It means null.
        Err(error)
            if matches!(
                error.kind,
                MessageContainsNullCapabilityPointer | MessageContainsInvalidCapabilityPointer
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(malformed(&error, field)),
    }
}

/// Reads a capability that a method promised to return.
pub(crate) fn returned<C>(value: capnp::Result<C>, field: &str) -> Result<C, RpcError> {
    capability(value, field)?.ok_or_else(|| RpcError::failed(format!("the answer has no {field}")))
}

/// Returns the error for a malformed field of a message.
pub(crate) fn malformed(error: &capnp::Error, field: impl Display) -> RpcError {
    RpcError::failed(format!("{field} is malformed: {error}"))
}
