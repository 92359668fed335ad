//! The entries of the list of hosts that jobs may make this machine contact.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::ranges::canonical;

/// An entry of the operator's list: `HOST`, `HOST:PORT` or `ADDRESS/BITS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A host by its name, or by its address, which may have any address. `None` for any port.
    Host {
        /// Its name or address.
        name: String,
        /// Its port.
        port: Option<u16>,
    },
    /// All hosts with an address in a network.
    Network {
        /// An address of the network.
        address: IpAddr,
        /// How many bits at the beginning all of its addresses have in common.
        bits: u8,
    },
}

/// An entry of a list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither HOST, HOST:PORT nor ADDRESS/BITS")]
pub struct BadListed(String);

impl FromStr for Listed {
    type Err = BadListed;

    fn from_str(entry: &str) -> Result<Self, BadListed> {
        listed(entry.trim()).ok_or_else(|| BadListed(entry.to_owned()))
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { name, port: None } => f.write_str(name),
            Self::Host {
                name,
                port: Some(port),
            } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Host {
                name,
                port: Some(port),
            } => write!(f, "{name}:{port}"),
            Self::Network { address, bits } => write!(f, "{address}/{bits}"),
        }
    }
}

fn listed(entry: &str) -> Option<Listed> {
    if let Some((address, bits)) = entry.split_once('/') {
        let address = canonical(address.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
        return Some(Listed::Network { address, bits });
    }
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some(Listed::Host {
            name: address.ip().to_string(),
            port: Some(address.port()),
        });
    }
    if let Ok(address) = plain_host(entry).parse::<IpAddr>() {
        return Some(Listed::Host {
            name: address.to_string(),
            port: None,
        });
    }
    let (name, port) = match entry.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (!name.is_empty() && name.bytes().all(is_name)).then(|| Listed::Host {
        name: name.to_owned(),
        port,
    })
}

/// Returns the host without the brackets of an IPv6 address.
pub(super) fn plain_host(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}
