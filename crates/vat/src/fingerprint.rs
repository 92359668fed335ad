//! The identity of a vat: the digest of its public key.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::encoding;

/// A vat's public key, as the SHA-256 of its DER SubjectPublicKeyInfo.
///
/// Two vats are the same if and only if their fingerprints are equal. Nothing else in a certificate is compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a key, which is given as a DER SubjectPublicKeyInfo.
    pub(crate) fn of_public_key(subject_public_key_info: &[u8]) -> Self {
        Self(Sha256::digest(subject_public_key_info).into())
    }

    /// Returns the fingerprint with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoding::encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Why a text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFingerprintError {
    /// It is not base64url.
    #[error("Malformed input")]
    NotBase64,
    /// It has another length than a SHA-256 digest.
    #[error("the digest has {0} bytes instead of 32")]
    WrongLength(usize),
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, ParseFingerprintError> {
        let bytes = encoding::decode(text).ok_or(ParseFingerprintError::NotBase64)?;
        let bytes = <[u8; 32]>::try_from(bytes)
            .map_err(|bytes| ParseFingerprintError::WrongLength(bytes.len()))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let text = "dda5JR8N5LwVnk7S8rOUQ6nE0ikULcgFJowtxL2-Hd0";
        let fingerprint: Fingerprint = text.parse().unwrap();
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(format!("{text}=").parse(), Ok(fingerprint));
    }

    #[test]
    fn rejects_invalid_digests() {
        assert_eq!(
            "AAAA".parse::<Fingerprint>(),
            Err(ParseFingerprintError::WrongLength(3))
        );
        assert_eq!(
            "a b".parse::<Fingerprint>(),
            Err(ParseFingerprintError::NotBase64)
        );
    }
}
