//! Sturdy refs, the addresses of capabilities that survive restarts: `capnp://sha-256:DIGEST@HOST:PORT/ID`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use crate::address::{parse_port, split_host_port};
use crate::fingerprint::ParseFingerprintError;
use crate::{Address, Fingerprint, ServiceId};

/// How to authenticate the vat at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// TLS with the key of this fingerprint.
    Sha256(Fingerprint),
    /// Not at all, and without encryption: for a network that is protected in another way.
    Insecure,
}

/// Everything that is needed to reach a service: its vat's fingerprint and address, and the secret that names it.
///
/// `Debug` and errors leave the secret out. [`SturdyRef::to_uri`] includes it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SturdyRef {
    /// How to authenticate the vat.
    pub auth: Auth,
    /// The vat's address.
    pub address: Address,
    /// The id of the service.
    pub service: ServiceId,
}

impl SturdyRef {
    /// Returns the URI, secret included.
    pub fn to_uri(&self) -> String {
        format!("{}{}", self.to_vat_uri(), self.service.to_base64())
    }

    /// Returns the URI without the secret.
    fn to_vat_uri(&self) -> String {
        let auth = match &self.auth {
            Auth::Sha256(fingerprint) => format!("sha-256:{fingerprint}"),
            Auth::Insecure => "insecure".to_owned(),
        };
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => {
                format!(
                    "capnp://{auth}@[{}]:{port}/",
                    percent_encode(host.as_bytes())
                )
            }
            Address::Tcp { host, port } => {
                format!("capnp://{auth}@{}:{port}/", percent_encode(host.as_bytes()))
            }
            Address::Unix(path) => {
                let path = percent_encode(path.as_os_str().as_bytes());
                format!("capnp://{auth}@{path}/")
            }
        }
    }
}

impl fmt::Debug for SturdyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SturdyRef({}…)", self.to_vat_uri())
    }
}

/// Why a text is no sturdy ref.
///
/// The errors are upstream's where it has one. A URI in an error is cut after its last `/`, as the rest may be a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSturdyRefError {
    /// There is no `SCHEME:`.
    #[error("Missing scheme in {0} (expected 'capnp://...')")]
    MissingScheme(String),
    /// The scheme is not `capnp`.
    #[error("Unknown scheme {0:?} (expected 'capnp://...')")]
    UnknownScheme(String),
    /// There is no `…@`, or it cannot be read.
    #[error("Missing digest hash type (e.g. '...://sha256:...')")]
    MissingHashType,
    /// There is a hash type without a digest.
    #[error("Missing digest value (e.g. '...://sha256:DIGEST@...' or '...://insecure@...')")]
    MissingDigest,
    /// The digest is of another kind than SHA-256.
    #[error("Unknown hash type {0:?}")]
    UnknownHashType(String),
    /// There is a host without a port.
    #[error("Missing port in {0}")]
    MissingPort(String),
    /// There is a port without a host.
    #[error("Port without host in {0}!")]
    PortWithoutHost(String),
    /// There is neither a host nor the path of a socket.
    #[error("missing host or socket path in {0}")]
    MissingAddress(String),
    /// The host and port cannot be read.
    #[error("malformed host or port in {0}")]
    MalformedAddress(String),
    /// The digest or the service id is not base64url.
    #[error("Malformed input")]
    Malformed,
    /// The digest has another length than SHA-256's.
    #[error("the digest has {0} bytes instead of 32")]
    WrongDigestLength(usize),
}

impl FromStr for SturdyRef {
    type Err = ParseSturdyRefError;

    /// Reads a sturdy ref as upstream does: surrounding white space, further lines, a query and a fragment are ignored.
    fn from_str(text: &str) -> Result<Self, ParseSturdyRefError> {
        let uri = text.trim().lines().next().unwrap_or_default();
        let redacted = || redact(uri);

        let hierarchy = strip_scheme(uri)?;
        let authority_and_path = hierarchy.strip_prefix("//").unwrap_or_default();
        let end = authority_and_path.find(['?', '#']);
        let authority_and_path = &authority_and_path[..end.unwrap_or(authority_and_path.len())];
        let (authority, path) = match authority_and_path.find('/') {
            Some(slash) => authority_and_path.split_at(slash),
            None => (authority_and_path, ""),
        };

        let (user, place) = authority
            .rsplit_once('@')
            .ok_or(ParseSturdyRefError::MissingHashType)?;
        let auth = parse_auth(user)?;
        let (host, port) = split_host_port(place)
            .ok_or_else(|| ParseSturdyRefError::MalformedAddress(redacted()))?;
        let (address, id) = match (host, port) {
            ("", None) => parse_socket_path(path)
                .ok_or_else(|| ParseSturdyRefError::MissingAddress(redacted()))?,
            ("", Some(_)) => return Err(ParseSturdyRefError::PortWithoutHost(redacted())),
            (_, None) => return Err(ParseSturdyRefError::MissingPort(redacted())),
            (host, Some(port)) => {
                let address = parse_host(host, port)
                    .ok_or_else(|| ParseSturdyRefError::MalformedAddress(redacted()))?;
                (address, path.strip_prefix('/').unwrap_or(path))
            }
        };
        let id = percent_decode_text(id).ok_or(ParseSturdyRefError::Malformed)?;
        let service = ServiceId::from_base64(&id).ok_or(ParseSturdyRefError::Malformed)?;
        Ok(Self {
            auth,
            address,
            service,
        })
    }
}

/// Returns what follows `capnp:`.
fn strip_scheme(uri: &str) -> Result<&str, ParseSturdyRefError> {
    let missing = || ParseSturdyRefError::MissingScheme(redact(uri));
    let (scheme, rest) = uri.split_once(':').ok_or_else(missing)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !is_scheme {
        return Err(missing());
    }
    if scheme.eq_ignore_ascii_case("capnp") {
        Ok(rest)
    } else {
        Err(ParseSturdyRefError::UnknownScheme(scheme.to_owned()))
    }
}

fn parse_auth(user: &str) -> Result<Auth, ParseSturdyRefError> {
    let user = percent_decode_text(user).ok_or(ParseSturdyRefError::MissingHashType)?;
    match user.split_once(':') {
        None if user == "insecure" => Ok(Auth::Insecure),
        None if user.is_empty() => Err(ParseSturdyRefError::MissingHashType),
        None => Err(ParseSturdyRefError::MissingDigest),
        Some(("sha-256", digest)) => match digest.parse() {
            Ok(fingerprint) => Ok(Auth::Sha256(fingerprint)),
            Err(ParseFingerprintError::NotBase64) => Err(ParseSturdyRefError::Malformed),
            Err(ParseFingerprintError::WrongLength(n)) => {
                Err(ParseSturdyRefError::WrongDigestLength(n))
            }
        },
        Some((other, _)) => Err(ParseSturdyRefError::UnknownHashType(other.to_owned())),
    }
}

fn parse_host(host: &str, port: &str) -> Option<Address> {
    let host = percent_decode_text(host)?;
    // A slash would end the host when the ref is written.
    let printable = !host
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || c == '/');
    if host.is_empty() || !printable {
        return None;
    }
    Some(Address::tcp(host, parse_port(port)?))
}

/// Splits `/PATH/ID` at its last slash.
fn parse_socket_path(path: &str) -> Option<(Address, &str)> {
    let (socket, id) = path.rsplit_once('/')?;
    let socket = percent_decode(socket)?;
    if socket.is_empty() || socket.contains(&0) {
        return None;
    }
    Some((Address::Unix(PathBuf::from(OsStr::from_bytes(&socket))), id))
}

/// Returns `uri` without the part that may be a secret.
fn redact(uri: &str) -> String {
    match uri.rsplit_once('/') {
        Some((front, "")) => format!("{front}/"),
        Some((front, _)) => format!("{front}/…"),
        None => uri.to_owned(),
    }
}

/// Escapes all bytes that may have a meaning in a URI, or to a program that reads one.
fn percent_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/:+=,".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

fn percent_decode_text(text: &str) -> Option<String> {
    String::from_utf8(percent_decode(text)?).ok()
}

#[cfg(test)]
#[path = "sturdy_ref_tests.rs"]
mod tests;
