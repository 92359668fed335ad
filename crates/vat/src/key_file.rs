//! The file with a vat's private key. It is created if it does not exist, and never rewritten.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::KeyPair;

use crate::cap_file::directory_of;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read key file {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be created.
    #[error("cannot create key file {}: {source}", .path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file holds no private key in PKCS#8 PEM.
    #[error(
        "cannot parse key file {}: it holds {found}; a private key in PKCS#8 PEM is needed, which starts with \
         -----BEGIN PRIVATE KEY-----",
        .path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        found: String,
    },
    /// The key is of an unsupported kind.
    #[error(
        "cannot use the key in {}: {detail}; use an RSA key of 2048 bits or more, or a P-256 or Ed25519 key",
        .path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// The most that is read of a file, in bytes. A key is far shorter, but a wrong path may name a file of any size.
const MAX_SIZE: u64 = 64 * 1024;

/// Reads a key file. Returns its text and the key in it; `None` if there is no file.
///
/// # Errors
///
/// When the file cannot be read, or holds no key that can be used.
pub(crate) fn load(path: &Path) -> Result<Option<(String, KeyPair)>, IdentityError> {
    let read = |path| -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        warn_if_others_may_read(path, &file);
        let mut bytes = Vec::new();
        file.take(MAX_SIZE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(IdentityError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let not_a_key = |found| IdentityError::NotAKey {
        path: path.to_owned(),
        found,
    };
    let pem = String::from_utf8(bytes).map_err(|_| not_a_key("binary data".to_owned()))?;
    match pem_label(&pem) {
        Some("PRIVATE KEY") => {}
        Some(label) => return Err(not_a_key(describe_label(label))),
        None if pem.trim().is_empty() => return Err(not_a_key("nothing".to_owned())),
        None => return Err(not_a_key("text that is not PEM".to_owned())),
    }
    let key = KeyPair::from_pem(&pem).map_err(|e| IdentityError::Unusable {
        path: path.to_owned(),
        detail: format!("{e}"),
    })?;
    Ok(Some((pem, key)))
}

fn warn_if_others_may_read(path: &Path, file: &File) {
    let Ok(metadata) = file.metadata() else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            "Key file {} has mode {mode:03o}: other users can read it and impersonate this vat; run `chmod 600` on it",
            path.display()
        );
    }
}

/// Returns the label of the first PEM block.
fn pem_label(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        line.trim()
            .strip_prefix("-----BEGIN ")?
            .strip_suffix("-----")
    })
}

fn describe_label(label: &str) -> String {
    match label {
        "RSA PRIVATE KEY" => "an RSA key in PKCS#1".to_owned(),
        "EC PRIVATE KEY" => "an elliptic-curve key in SEC 1".to_owned(),
        "ENCRYPTED PRIVATE KEY" => "a key that is encrypted with a password".to_owned(),
        "CERTIFICATE" => "a certificate".to_owned(),
        "PUBLIC KEY" => "a public key".to_owned(),
        other => format!("a PEM block called {other:?}"),
    }
}

pub(crate) fn generate_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
}

/// Creates a key file, or reads it if another process has just created it. Returns its text and the key in it.
///
/// The key is written to a temporary file, which is then renamed unless the name is taken. So the file is never seen in
/// part, and two processes that start at once use the same key.
///
/// # Errors
///
/// When the file cannot be created.
pub(crate) fn generate(path: &Path) -> Result<(String, KeyPair), IdentityError> {
    let failed = |source| IdentityError::Create {
        path: path.to_owned(),
        source,
    };
    let key = generate_key().map_err(|e| failed(io::Error::other(e)))?;
    let pem = key.serialize_pem();
    match write_new(path, &pem) {
        Ok(()) => Ok((pem, key)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match load(path)? {
            Some(found) => Ok(found),
            None => Err(failed(e)),
        },
        Err(e) => Err(failed(e)),
    }
}

fn write_new(path: &Path, pem: &str) -> io::Result<()> {
    let directory = directory_of(path);
    let mut file = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(pem.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|e| e.error)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
#[path = "key_file_tests.rs"]
mod tests;
