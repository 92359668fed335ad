//! Sealing: what is on disk says nothing to those who have the disk alone.
//!
//! AEAD with ChaCha20-Poly1305 (RFC 8439), a key derived with HKDF-SHA256 (RFC 5869) from the scheduler's private
//! key, and a random nonce for each seal. The id of the job is authenticated, so that descriptions cannot be swapped.
//! What is sealed begins with the id of the key that it needs, so that a changed key and a damaged disk are different
//! errors.

use std::fmt;

use jobs::JobId;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

/// The context of the derivation: another use of the same private key gets other keys.
const SALT: &[u8] = b"ocluster job descriptions, version 1";
const KEY_ID_BYTES: usize = 8;

/// Seals descriptions, and opens them.
pub struct Sealer {
    key: LessSafeKey,
    key_id: [u8; KEY_ID_BYTES],
    random: SystemRandom,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// A sealed description: the id of its key, a nonce, and the ciphertext with its tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl Sealed {
    /// Returns what [`as_bytes`](Self::as_bytes) returned before.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns what is to be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The system has no random numbers, or the text is longer than the cipher takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot seal the description of a job")]
pub struct SealError;

/// Why a sealed description cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed with another key.
    #[error(
        "the description was sealed with another key; the scheduler's private key has changed since it was submitted"
    )]
    OtherKey,
    /// It is not what was sealed, or that of another job.
    #[error("the description of the job is damaged; submit the job again")]
    Damaged,
}

/// The length of a derived value, as `ring` asks for it.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Sealer {
    /// Returns a sealer whose key is derived from a secret that is not in the store.
    pub fn new(secret: &[u8]) -> Self {
        let derived = Salt::new(HKDF_SHA256, SALT).extract(secret);
        let fill = |info: &[u8], into: &mut [u8]| {
            let info = [info];
            let okm = derived.expand(&info, Length(into.len()));
            // HKDF gives up to 255 hashes' worth of bytes; both lengths are far below.
            okm.and_then(|okm| okm.fill(into))
                .expect("HKDF gives 40 bytes");
        };
        let mut key = [0; 32];
        fill(b"key", &mut key);
        let mut key_id = [0; KEY_ID_BYTES];
        fill(b"key id", &mut key_id);
        let key =
            UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the cipher takes keys of 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            key_id,
            random: SystemRandom::new(),
        }
    }

    /// Seals the description of a job.
    ///
    /// # Errors
    ///
    /// [`SealError`] when the system has no random numbers.
    pub fn seal(&self, job: JobId, description: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SealError)?;
        let mut text = description.to_vec();
        let about = Aad::from(job.bits().to_be_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), about, &mut text)
            .map_err(|_| SealError)?;
        Ok(Sealed([&self.key_id[..], &nonce, &text].concat()))
    }

    /// Opens the description of a job.
    ///
    /// # Errors
    ///
    /// [`UnsealError`] when it was sealed with another key, or for another job, or is damaged.
    pub fn open(&self, job: JobId, sealed: &Sealed) -> Result<Vec<u8>, UnsealError> {
        let (key_id, rest) = sealed
            .0
            .split_at_checked(KEY_ID_BYTES)
            .ok_or(UnsealError::Damaged)?;
        if key_id != self.key_id {
            return Err(UnsealError::OtherKey);
        }
        let (nonce, text) = rest
            .split_at_checked(NONCE_LEN)
            .ok_or(UnsealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Damaged)?;
        let about = Aad::from(job.bits().to_be_bytes());
        let mut text = text.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, about, &mut text)
            .map_err(|_| UnsealError::Damaged)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"--secret: hunter2";
    const JOB: JobId = JobId::from_bits(1);

    fn sealed() -> (Sealer, Sealed) {
        let sealer = Sealer::new(b"a private key");
        let sealed = sealer.seal(JOB, SECRET).expect("sealed");
        (sealer, sealed)
    }

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_for_the_same_job() {
        let (sealer, sealed) = sealed();
        assert_eq!(sealer.open(JOB, &sealed).as_deref(), Ok(SECRET));
        assert_eq!(
            Sealer::new(b"a private key").open(JOB, &sealed).as_deref(),
            Ok(SECRET)
        );
        assert_eq!(
            Sealer::new(b"another").open(JOB, &sealed),
            Err(UnsealError::OtherKey)
        );
        assert_eq!(
            sealer.open(JobId::from_bits(2), &sealed),
            Err(UnsealError::Damaged)
        );
    }

    #[test]
    fn every_changed_byte_and_every_length_is_refused() {
        let (sealer, sealed) = sealed();
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            sealer
                .open(JOB, &Sealed::from_bytes(bytes))
                .expect_err("a changed byte");
            let cut = sealed.as_bytes()[..at].to_vec();
            sealer
                .open(JOB, &Sealed::from_bytes(cut))
                .expect_err("cut short");
        }
    }

    #[test]
    fn nothing_of_it_can_be_read_and_no_two_seals_are_the_same() {
        let (sealer, sealed) = sealed();
        let word = b"hunter2";
        assert!(
            !sealed
                .as_bytes()
                .windows(word.len())
                .any(|window| window == word)
        );
        assert!(!format!("{sealed:?} {sealer:?}").contains("hunter2"));
        assert_ne!(sealer.seal(JOB, SECRET).expect("sealed"), sealed);
    }
}
