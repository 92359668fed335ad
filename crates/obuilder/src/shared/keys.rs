//! The keys that sign shared results, and the list of those that are accepted.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use visible::shortened;

/// Before and after the private key in its file.
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Before a public key.
const KIND: &str = "ed25519:";

/// The largest file of keys, in bytes.
const MOST: u64 = 1 << 20;

/// The private key with which this worker signs its results.
pub struct SigningKey(Ed25519KeyPair);

/// A public key. As text: `ed25519:` and 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use {}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file does not contain a private key.
    #[error(
        "cannot use {}: it is not a private key of this program; remove it to have a new one made",
        .0.display()
    )]
    NoKey(PathBuf),
    /// A line of a list is not a public key.
    #[error("cannot use {}: line {line}: {source}", .path.display())]
    Listed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: BadKey,
    },
    /// The system has no random numbers.
    #[error("cannot make a key: the system gives no random numbers")]
    Random,
}

/// A text that is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a public key: ed25519: and 44 characters are expected")]
pub struct BadKey(String);

impl SigningKey {
    pub(super) fn of(pair: Ed25519KeyPair) -> Self {
        Self(pair)
    }

    /// Reads the key in a file, which is made, readable by its owner only, if it is missing.
    ///
    /// # Errors
    /// If the file cannot be read or made, or is not a key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            text => return Self::parse(&text.map_err(failed)?, path),
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| KeyError::Random)?;
        let text = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(made.as_ref()));
        let directory = path.parent().unwrap_or(Path::new("."));
        let write = || {
            fs::create_dir_all(directory)?;
            // Of mode 0600, as all of these.
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(path) {
                // Another process was faster: its key is the one.
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(error.error),
                Ok(_) => Ok(()),
            }
        };
        write().map_err(failed)?;
        Self::parse(&read(path).map_err(failed)?, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, KeyError> {
        let key = || {
            let inner = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
            let bytes = STANDARD.decode(inner.trim()).ok()?;
            Ed25519KeyPair::from_pkcs8(&bytes).ok()
        };
        key()
            .map(Self)
            .ok_or_else(|| KeyError::NoKey(path.to_owned()))
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    /// Signs bytes, and returns the signature in base64.
    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(bytes).as_ref())
    }
}

/// Shows the public key only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl PublicKey {
    /// Returns whether a signature, in base64, of these bytes is of this key.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(bytes, &signature)
            .is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let bytes = text
            .strip_prefix(KIND)
            .and_then(|key| STANDARD.decode(key).ok());
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self)
            .ok_or_else(|| BadKey(shortened(text, 80).into_owned()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Reads a list of public keys: one in a line, and after it what the operator calls it. Lines with `#` are comments.
///
/// # Errors
/// If the file cannot be read, or a line has no key.
pub fn accepted_keys(path: &Path) -> Result<Vec<PublicKey>, KeyError> {
    let text = read(path).map_err(|source| KeyError::Io {
        path: path.to_owned(),
        source,
    })?;
    let lines = text.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(text, line)| {
            let key = text.split_whitespace().next().unwrap_or_default();
            key.parse().map_err(|source| KeyError::Listed {
                path: path.to_owned(),
                line,
                source,
            })
        })
        .collect()
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = fs::File::open(path)?;
    file.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_its_signatures_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/key");
        let key = SigningKey::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let public = key.public();
        assert_eq!(SigningKey::open(&path).unwrap().public(), public);
        assert_eq!(public.to_string().parse(), Ok(public));
        let signature = key.sign(b"a result");
        assert!(public.has_signed(b"a result", &signature));
        assert!(!public.has_signed(b"another", &signature));
        assert!(!public.has_signed(b"a result", ""));
        let other = SigningKey::open(&dir.path().join("other")).unwrap();
        assert!(!other.public().has_signed(b"a result", &signature));
        fs::write(&path, "hello").unwrap();
        let error = SigningKey::open(&path).unwrap_err();
        assert!(matches!(error, KeyError::NoKey(_)), "{error}");
    }

    #[test]
    fn a_list_has_a_key_in_each_line() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::open(&dir.path().join("key")).unwrap().public();
        let list = dir.path().join("keys");
        fs::write(&list, format!("# ours\n\n{key} w3\n  {key}\n")).unwrap();
        assert_eq!(accepted_keys(&list).unwrap(), [key, key]);
        fs::write(&list, format!("{key}\nw3\n")).unwrap();
        let error = accepted_keys(&list).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "line 2: \"w3\" is not a public key: ed25519: and 44 characters are expected"
            ),
            "{error}"
        );
    }
}
