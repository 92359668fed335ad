//! A vat's key, which is its identity and the source of its derived service ids.

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

/// A vat's key, with what is derived from it: its fingerprint, its certificate and its derived service ids.
///
/// Clones are the same identity and are cheap.
#[derive(Clone)]
pub struct Identity(Rc<Inner>);

struct Inner {
    fingerprint: Fingerprint,
    /// SHA-256 of the bytes of the PEM file. The file is never rewritten, as other formatting would change every
    /// derived id.
    pem_digest: [u8; 32],
    certified_key: Arc<CertifiedKey>,
}

impl Identity {
    /// Returns the identity whose key is in a PEM file, which is created if it does not exist.
    ///
    /// RSA (2048 bits or more), P-256 and Ed25519 keys are supported. A new key is P-256. A file that other users than
    /// its owner may read causes a warning in the log. Two processes that create the same file at once get the same
    /// key.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or created, or holds no key of a supported kind.
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

    /// Returns a new P-256 identity that is not saved.
    ///
    /// # Panics
    ///
    /// If the system's random number generator fails, as there is no key without it.
    pub fn ephemeral() -> Self {
        let key = key_file::generate_key().expect("the system's random number generator failed");
        let pem = key.serialize_pem();
        Self::new(&pem, key).expect("a new key is of a supported kind")
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

    /// Returns the digest of the public key, by which other vats know this one.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Returns the secret service id for `name`. It is the same at every start, as it is derived from the key.
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
