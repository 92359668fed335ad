//! The secret that names a service, and is the right to use it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::encoding;

/// The secret last part of a sturdy ref: whoever knows it may use the service.
///
/// Any bytes will do, also NUL and what is not UTF-8. `Debug` prints a short digest, so that an id can be told from
/// another in a log without being given away there; there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServiceId(Box<[u8]>);

impl ServiceId {
    /// How many random bytes a new id has.
    const RANDOM_LENGTH: usize = 20;

    /// Returns the id with these bytes.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns a fresh id that nobody can guess.
    ///
    /// # Panics
    ///
    /// If the system has no random numbers to give, as no secret could be made then.
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
    /// A table keyed by digests gives away nothing when it leaks, and looking up in it takes the same time however
    /// much of a guessed id is right.
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
    fn debug_does_not_tell() {
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
