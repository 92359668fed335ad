//! Which hosts may be contacted on behalf of a job.
//!
//! A job must not make this machine ask services that only this machine can reach: those on itself, its neighbours, a
//! cloud's metadata. The rule is about the address of the connection, not the name: a name may resolve to any address,
//! and to another one a moment later.

mod listed;
mod ranges;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use listed::plain_host;
pub use listed::{BadListed, Listed};
use ranges::{canonical, is_in, is_public};

/// The addresses that jobs may make this machine contact: those on the internet, and the ones that the operator lists.
/// As text: the list, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRule(Vec<Listed>);

/// A host that must not be contacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot contact {host}: {reason}; to permit it, add it to --obuilder-registries (or --registries of obuilder)"
)]
pub struct Refused {
    host: String,
    reason: String,
}

impl Refused {
    fn new(host: &str, port: u16, reason: impl Into<String>) -> Self {
        Self {
            host: format!("{host}:{port}"),
            reason: reason.into(),
        }
    }
}

/// Returns why an address is refused.
fn not_public(address: IpAddr) -> String {
    format!("its address {address} is not on the public internet")
}

impl AddressRule {
    /// Returns this rule with one more entry.
    pub(super) fn and(mut self, listed: Listed) -> Self {
        self.0.push(listed);
        self
    }

    /// Checks whether the host of a URL may be contacted, as far as is known before its name is resolved. An IPv6
    /// address may be in brackets.
    ///
    /// # Errors
    /// If it is an address that must not be contacted, or a name that is listed with another port.
    pub fn check(&self, host: &str, port: u16) -> Result<(), Refused> {
        let host = plain_host(host);
        if self.lists(host, port) {
            return Ok(());
        }
        match host.parse::<IpAddr>() {
            Ok(address) if self.permits_address(address) => Ok(()),
            Ok(address) => Err(Refused::new(host, port, not_public(address))),
            // Its name would be resolved for any port.
            Err(_) if self.lists_name(host) => {
                Err(Refused::new(host, port, "it is listed with another port"))
            }
            Err(_) => Ok(()),
        }
    }

    /// Checks whether a proxy's host may be contacted for its own content.
    ///
    /// # Errors
    /// If it is not listed, with that port.
    pub(super) fn check_listed(&self, host: &str, port: u16) -> Result<(), Refused> {
        if self.lists(host, port) {
            return Ok(());
        }
        Err(Refused::new(host, port, "it is a proxy"))
    }

    /// Checks whether a host may be connected to at an address that its name was resolved to.
    ///
    /// # Errors
    /// If not.
    pub fn check_resolved(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        if self.lists_name(host) || self.permits_address(address) {
            return Ok(());
        }
        Err(Refused {
            host: host.to_owned(),
            reason: not_public(address),
        })
    }

    /// Resolves a name, and returns those of its addresses that may be connected to.
    ///
    /// # Errors
    /// If it cannot be resolved, or if none of its addresses may be connected to: [`Refused`] is the inner error then.
    pub async fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let mut permitted = Vec::new();
        let mut refused = None;
        for address in tokio::net::lookup_host((host, port)).await? {
            match self.check_resolved(host, address.ip()) {
                Ok(()) => permitted.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(refused) if permitted.is_empty() => Err(std::io::Error::other(refused)),
            _ => Ok(permitted),
        }
    }

    /// Returns whether a host is listed by name, with any port.
    fn lists_name(&self, host: &str) -> bool {
        self.0.iter().any(|listed| match listed {
            Listed::Host { name, .. } => name.eq_ignore_ascii_case(host),
            Listed::Network { .. } => false,
        })
    }

    fn lists(&self, host: &str, wanted: u16) -> bool {
        self.0.iter().any(|listed| match listed {
            Listed::Host { name, port } => {
                name.eq_ignore_ascii_case(host) && port.is_none_or(|port| port == wanted)
            }
            Listed::Network { .. } => false,
        })
    }

    fn permits_address(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        is_public(address)
            || self.0.iter().any(|listed| match listed {
                Listed::Network {
                    address: network,
                    bits,
                } => is_in(address, *network, *bits),
                Listed::Host { .. } => false,
            })
    }
}

impl FromIterator<Listed> for AddressRule {
    fn from_iter<T: IntoIterator<Item = Listed>>(listed: T) -> Self {
        Self(listed.into_iter().collect())
    }
}

impl FromStr for AddressRule {
    type Err = BadListed;

    fn from_str(text: &str) -> Result<Self, BadListed> {
        let entries = text.split(',').map(str::trim);
        let entries = entries.filter(|entry| !entry.is_empty());
        entries.map(str::parse).collect()
    }
}

impl fmt::Display for AddressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, listed) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            listed.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AddressRule {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_are_permitted() {
        let default = AddressRule::default();
        for host in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "[2a00::1]",
            "64:ff9b::101:101",
            "2002:101:101::",
        ] {
            assert_eq!(default.check(host, 443), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        let default = AddressRule::default();
        let hosts = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 172.31.255.255 \
                     192.0.0.8 192.0.2.1 192.168.1.1 198.19.0.1 203.0.113.9 224.0.0.1 239.1.1.1 255.255.255.255 \
                     :: ::1 [::1] ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::7f00:1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe \
                     64:ff9b:1::1 2002:7f00:1:: 2001:0:1::1 2001:db8::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 \
                     ff02::1 100::1 3fff::1 4000::1";
        for host in hosts.split_whitespace() {
            assert!(default.check(host, 443).is_err(), "{host}");
            let address = plain_host(host).parse().unwrap();
            assert!(
                default.check_resolved("evil.example", address).is_err(),
                "{host}"
            );
        }
        assert_eq!(
            default.check("127.0.0.1", 5000).unwrap_err().to_string(),
            "cannot contact 127.0.0.1:5000: its address 127.0.0.1 is not on the public internet; to permit it, \
             add it to --obuilder-registries (or --registries of obuilder)"
        );
    }

    #[test]
    fn listed_hosts_are_permitted_and_no_others() {
        let some =
            rule("127.0.0.1:5000, lab:80,10.1.0.0/16,[fd00::1]:5000,store.example,fd01::/16");
        assert_eq!(
            some.to_string(),
            "127.0.0.1:5000,lab:80,10.1.0.0/16,[fd00::1]:5000,store.example,fd01::/16"
        );
        assert_eq!(rule(&some.to_string()), some);
        for (host, port) in [
            ("127.0.0.1", 5000),
            ("LAB", 80),
            ("10.1.255.1", 1),
            ("[fd00::1]", 5000),
            ("fd01::9", 9),
        ] {
            assert_eq!(some.check(host, port), Ok(()), "{host}");
        }
        for (host, port) in [
            ("127.0.0.1", 5001),
            ("127.0.0.2", 5000),
            ("lab", 81),
            ("10.2.0.1", 1),
            ("[fd00::1]", 22),
        ] {
            assert!(some.check(host, port).is_err(), "{host}");
        }
        // A listed name may have any address. A listed address does not permit other names that resolve to it.
        let local = "127.0.0.1".parse().unwrap();
        assert_eq!(some.check_resolved("store.example", local), Ok(()));
        assert!(some.check_resolved("evil.example", local).is_err());
        assert_eq!(
            some.check_resolved("evil.example", "10.1.2.3".parse().unwrap()),
            Ok(())
        );
    }

    #[test]
    fn invalid_lists_are_refused() {
        for text in [
            "10.0.0.0/33",
            "::/129",
            "x/8",
            "a:b",
            "http://lab",
            "a b",
            ":80",
        ] {
            assert!(text.parse::<AddressRule>().is_err(), "{text}");
        }
        assert_eq!(rule(" , "), AddressRule::default());
        assert_eq!(rule("0.0.0.0/0").check("127.0.0.1", 1), Ok(()));
    }

    #[test]
    fn a_name_is_judged_by_the_address_it_has() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let resolved = |rule: &AddressRule| runtime.block_on(rule.resolve("localhost", 5000));
        let error = resolved(&AddressRule::default()).unwrap_err();
        assert!(
            error.get_ref().is_some_and(|inner| inner.is::<Refused>()),
            "{error}"
        );
        assert!(!resolved(&rule("localhost:5000")).unwrap().is_empty());
    }
}
