//! A vat's key: who it is, and what its derived service ids come from.

use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};

use crate::key_file::{self, IdentityError};
use crate::{Fingerprint, ServiceId, certificate};

/// A vat's key, with all that follows from it: its fingerprint, its certificate, its derived service ids.
///
/// A clone is the same identity and costs nothing.
#[derive(Clone)]
pub struct Identity(Rc<Inner>);

struct Inner {
    fingerprint: Fingerprint,
    /// SHA-256 of the PEM file, byte for byte: re-formatting the file changes every derived id, so it is never rewritten.
    pem_digest: [u8; 32],
    certified_key: Arc<CertifiedKey>,
}

impl Identity {
    /// Returns the identity whose key is in a PEM file, which is made first if there is none.
    ///
    /// RSA (2048 bits or more), P-256 and Ed25519 keys are read; a new key is P-256. A file that others than its owner
    /// may read gets a warning in the log. Two processes that make the same file at once get the same key.
    pub fn load_or_generate(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        let (pem, key) = match key_file::load(path)? {
            Some(found) => found,
            None => key_file::generate(path)?,
        };
        Self::new(&pem, key).map_err(|detail| IdentityError::Unusable {
            path: path.to_owned(),
            detail,
        })
    }

    /// Returns a new P-256 identity that is never written down.
    ///
    /// # Panics
    ///
    /// If the system has no random numbers to give, as no key could be made then.
    pub fn ephemeral() -> Self {
        let key = key_file::new_key().expect("the system's random number generator failed");
        let pem = key.serialize_pem();
        Self::new(&pem, key).expect("a key that was just made is of a known kind")
    }

    fn new(pem: &str, key: KeyPair) -> Result<Self, String> {
        let fingerprint = Fingerprint::of_public_key(&key.subject_public_key_info());
        let certified_key = certificate::self_signed(&key)?;
        Ok(Self(Rc::new(Inner {
            fingerprint,
            pem_digest: Sha256::digest(pem.as_bytes()).into(),
            certified_key: Arc::new(certified_key),
        })))
    }

    /// Returns the digest of the public key, by which others know this vat.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Returns the service id that belongs to `name` for this key: the same at every start, and secret.
    pub fn derive(&self, name: &str) -> ServiceId {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0.pem_digest)
            .expect("a key for HMAC may have any length");
        mac.update(name.as_bytes());
        ServiceId::from_bytes(mac.finalize().into_bytes().to_vec())
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.0.certified_key.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}
