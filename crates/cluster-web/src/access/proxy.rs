//! Visitors whom a proxy has authenticated.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::visitor::{Holder, Role, Visitor};

/// What is believed of which proxies.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    /// The header that has the name of the user, in lower case; `None` if there is no such proxy.
    pub user_header: Option<String>,
    /// Where the proxies connect from. Others are not believed.
    pub trusted: Vec<TrustedNetwork>,
    /// The users that are operators.
    pub admins: BTreeSet<String>,
}

/// The addresses that begin like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedNetwork {
    address: IpAddr,
    bits: u8,
}

/// Why a text is not a [`TrustedNetwork`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot use \"{0}\" as a network: it is not ADDRESS or ADDRESS/BITS; write for example 10.0.0.0/8"
)]
pub struct TrustedNetworkError(String);

impl FromStr for TrustedNetwork {
    type Err = TrustedNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TrustedNetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| error())?,
            None => most,
        };
        match bits <= most {
            true => Ok(Self { address, bits }),
            false => Err(error()),
        }
    }
}

impl fmt::Display for TrustedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl TrustedNetwork {
    /// Returns whether an address is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let difference = network.to_bits() ^ address.to_bits();
                difference.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let difference = network.to_bits() ^ address.to_bits();
                difference.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl ProxySettings {
    /// Returns whether what connects from this address is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Returns who the user of this name is: an operator, the client of the same name, or a visitor who sees names and
    /// numbers.
    pub fn visitor(&self, user: &str, is_client: bool) -> Visitor {
        let role = if self.admins.contains(user) {
            Role::Admin
        } else if is_client {
            Role::Client {
                name: user.to_owned(),
                access: 0,
            }
        } else {
            return Visitor::Public;
        };
        Visitor::Holder(Holder {
            role,
            by: user.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let contains = |network: &str, address: &str| {
            let network: TrustedNetwork = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(contains("127.0.0.1", "127.0.0.1"));
        assert!(!contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("10.0.0.0/8", "10.9.8.7"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(contains("fd00::/8", "fd12::1") && !contains("fd00::/8", "fe80::1"));
        for bad in [
            "",
            "proxy",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "::/129",
            "10.0.0.0/-1",
        ] {
            let error = bad.parse::<TrustedNetwork>().unwrap_err().to_string();
            assert!(error.contains(&format!("\"{bad}\"")), "{error}");
        }
    }

    #[test]
    fn a_user_is_an_operator_a_client_or_neither() {
        let settings = ProxySettings {
            admins: ["ann".to_owned()].into(),
            ..ProxySettings::default()
        };
        assert!(settings.visitor("ann", true).is_admin());
        assert_eq!(settings.visitor("bob", true).client(), Some("bob"));
        assert_eq!(settings.visitor("eve", false), Visitor::Public);
    }
}
