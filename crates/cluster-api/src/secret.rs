//! Secrets that a build may use.

use std::fmt;

use crate::RpcError;
use crate::raw::schema_capnp::secret;
use crate::text::{malformed, text};

/// A value that a build may use, but that must not appear in its log or its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The name by which the build requests it.
    pub id: String,
    /// The secret itself.
    pub value: SecretValue,
}

/// The bytes of a secret, which need not be UTF-8. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// Returns the secret. Handle with care.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for SecretValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<String> for SecretValue {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for SecretValue {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

impl Secret {
    /// Reads the secret with this index of a description.
    pub(crate) fn read(reader: secret::Reader<'_>, index: usize) -> Result<Self, RpcError> {
        let field = format_args!("description.secrets[{index}].id").to_string();
        let id = text(reader.get_id(), &field)?;
        let value = reader
            .get_value()
            .map_err(|error| malformed(&error, format_args!("description.secrets[{index}].value")))?
            .as_bytes()
            .to_vec();
        Ok(Self {
            id,
            value: SecretValue(value),
        })
    }

    pub(crate) fn write(&self, mut builder: secret::Builder<'_>) {
        builder.set_id(&self.id);
        // The schema calls it Text, but a key file may have any bytes.
        builder.set_value(capnp::text::Reader(&self.value.0));
    }
}
