//! The secret that names a service and gives the right to use it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::encoding;

/// The secret last part of a sturdy ref. A peer that knows it may use the service.
///
/// It may have any bytes, NUL and invalid UTF-8 included. `Debug` prints a short digest, by which logs tell ids apart
/// without revealing them. There is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServiceId(Box<[u8]>);

impl ServiceId {
    /// How many random bytes a new id has.
    const RANDOM_LENGTH: usize = 20;

    /// Returns the id with these bytes.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns a new random id, which cannot be guessed.
    ///
    /// # Panics
    ///
    /// If the system's random number generator fails, as there is no secret without it.
    pub fn random() -> Self {
        let mut bytes = [0; Self::RANDOM_LENGTH];
        getrandom::fill(&mut bytes).expect("the system's random number generator failed");
        Self(Box::new(bytes))
    }

    /// Returns the id itself. Keep it out of logs.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the SHA-256 of the id, by which services are stored and found.
    ///
    /// A table with digests as keys reveals no id when it leaks, and the time of a lookup does not depend on how much
    /// of a guessed id is right.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    pub(crate) fn to_base64(&self) -> String {
        encoding::encode(&self.0)
    }

    pub(crate) fn from_base64(text: &str) -> Option<Self> {
        Some(Self(encoding::decode(text)?.into()))
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.digest();
        write!(f, "ServiceId(digest {a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let id = ServiceId::from_bytes(*b"secret");
        let shown = format!("{id:?}");
        assert!(!shown.contains("secret") && !shown.contains(&id.to_base64()));
        assert_eq!(shown, "ServiceId(digest 2bb80d53…)");
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(ServiceId::random(), ServiceId::random());
        assert_eq!(ServiceId::random().as_bytes().len(), 20);
    }
}
