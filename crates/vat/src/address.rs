//! Addresses of vats: `tcp:HOST:PORT` or `unix:PATH`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An address to listen at or connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// A name, an IPv4 or an IPv6 address (without brackets).
        host: String,
        /// The port. With 0, a listener gets one that the system chooses.
        port: u16,
    },
    /// A unix domain socket.
    Unix(PathBuf),
}

impl Address {
    /// Returns a TCP address.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp {
            host: host.into(),
            port,
        }
    }

    /// Returns whether it stands for all addresses of a machine (`0.0.0.0` or `::`). A program can listen there; one
    /// that dials it reaches its own machine at best.
    pub fn is_wildcard(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_unspecified()),
            Self::Unix(_) => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid address {text:?}: expected tcp:HOST:PORT or unix:PATH{hint}")]
pub struct ParseAddressError {
    text: String,
    hint: &'static str,
}

impl FromStr for Address {
    type Err = ParseAddressError;

    /// Reads an address. A relative path of a unix socket starts at the current directory.
    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let invalid = |hint| ParseAddressError {
            text: text.to_owned(),
            hint,
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = std::path::absolute(Path::new(path))
                .map_err(|_| invalid(" (the path is empty)"))?;
            return Ok(Self::Unix(path));
        }
        let rest = text.strip_prefix("tcp:").ok_or_else(|| invalid(""))?;
        let (host, port) =
            split_host_port(rest).ok_or_else(|| invalid(" (an IPv6 address needs brackets)"))?;
        let port = port
            .and_then(parse_port)
            .ok_or_else(|| invalid(" (the port is a number up to 65535)"))?;
        if host.is_empty() {
            return Err(invalid(" (the host is empty; 0.0.0.0 means all)"));
        }
        Ok(Self::tcp(host, port))
    }
}

/// Splits `HOST:PORT` or `[IPV6]:PORT`. Returns `None` if brackets or colons are misplaced.
pub(crate) fn split_host_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// Reads a port. Only digits are accepted, while the standard library accepts a sign, too.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_back() {
        for text in [
            "tcp:127.0.0.1:9000",
            "tcp:[::1]:9000",
            "tcp:example.org:1",
            "unix:/run/x y",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!(
            "tcp:[::1]:9000".parse(),
            Ok(Address::tcp("::1", 9000)),
            "brackets are not part of the host"
        );
    }

    #[test]
    fn relative_socket_paths_become_absolute() {
        let Ok(Address::Unix(path)) = "unix:x.sock".parse() else {
            panic!("not a unix address");
        };
        assert!(path.is_absolute() && path.ends_with("x.sock"));
    }

    #[test]
    fn rejects_invalid_addresses() {
        for text in [
            "",
            "9000",
            "tcp:9000",
            "tcp:host:",
            "tcp:host:+1",
            "tcp:host:65536",
            "tcp:::1:9000",
            "tcp::9000",
            "tcp:[::1:9000",
            "unix:",
            "http:host:80",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
