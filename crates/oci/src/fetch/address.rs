//! Which hosts may be contacted on behalf of a job.
//!
//! A job must not make this machine ask services that only this machine can reach: those on itself, its neighbours, a
//! cloud's metadata. What counts is the address that is connected to, not the name: a name may lead anywhere, and somewhere
//! else a moment later.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The addresses that jobs may make us ask: those of the internet, and what the operator lists. As text, the list, with commas
/// between its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRule(Vec<Listed>);

/// Something that the operator lists: `HOST`, `HOST:PORT` or `ADDRESS/BITS`.
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

/// A host must not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} has the address {address}, which is not one of the internet: it is only asked if --obuilder-registries (or \
     --registries of obuilder) lists it"
)]
pub struct Refused {
    host: String,
    address: String,
}

/// An entry of a list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither HOST, HOST:PORT nor ADDRESS/BITS")]
pub struct BadListed(String);

impl Refused {
    fn new(host: &str, port: u16, address: &str) -> Self {
        Self {
            host: format!("{host}:{port}"),
            address: address.to_owned(),
        }
    }
}

impl AddressRule {
    /// Checks whether the host of a URL may be contacted, as far as is known before its name is resolved. An IPv6 address may
    /// be in brackets.
    ///
    /// # Errors
    /// If it is an address that must not be asked, or a name that is listed with other ports alone.
    pub fn check(&self, host: &str, port: u16) -> Result<(), Refused> {
        let host = plain_host(host);
        if self.lists(host, port) {
            return Ok(());
        }
        match host.parse::<IpAddr>() {
            Ok(address) if self.permits_address(address) => Ok(()),
            Ok(address) => Err(Refused::new(host, port, &address.to_string())),
            // Its name would be resolved for any port.
            Err(_) if self.lists_name(host) => Err(Refused::new(
                host,
                port,
                "of a listed host with another port",
            )),
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
        Err(Refused::new(host, port, "of a proxy"))
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
            address: address.to_string(),
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
        let is_it = |listed: &Listed| matches!(listed, Listed::Host { name, .. } if name.eq_ignore_ascii_case(host));
        self.0.iter().any(is_it)
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

fn plain_host(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Returns the address that is meant where an IPv6 address has an IPv4 address in it, by which the system connects.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(address), IpAddr::V4),
        address => address,
    }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: u128, b: u128, size: u8| {
        // Of nothing all are the same, and a shift by all bits is none.
        bits == 0 || (a ^ b).checked_shr(u32::from(size - bits)).unwrap_or(0) == 0
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

/// Returns whether an address is one of the internet, by the special-purpose address registries of IANA (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [([u8; 4], u8); 15] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        // Of carriers, behind their translators.
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        // Of a link; clouds answer with their metadata there.
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        // To many.
        ([224, 0, 0, 0], 4),
        ([240, 0, 0, 0], 4),
    ];
    let is_special =
        |(network, bits): &([u8; 4], u8)| is_in(address.into(), IpAddr::from(*network), *bits);
    !SPECIAL.iter().any(is_special)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, _, _, _, g, h] = address.segments();
    let low = Ipv4Addr::from(u32::from(g) << 16 | u32::from(h));
    match (a, b) {
        // A translator to IPv4 is asked for the address at the end.
        (0x64, 0xff9b) => c == 0 && address.segments()[3..6] == [0; 3] && is_public_v4(low),
        // A router to IPv6 over IPv4, whose address this is.
        (0x2002, high) => is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(c))),
        // Protocols (tunnels among them), and what documents use.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // All others of one machine that have been given to anybody.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AddressRule {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_the_internet_are_asked() {
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
    fn no_other_is() {
        let default = AddressRule::default();
        let hosts = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 \
                     192.0.2.1 192.168.1.1 198.19.0.1 203.0.113.9 224.0.0.1 239.1.1.1 255.255.255.255 :: ::1 [::1] \
                     ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::7f00:1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: \
                     2001:0:1::1 2001:db8::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 100::1 3fff::1 4000::1";
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
            "127.0.0.1:5000 has the address 127.0.0.1, which is not one of the internet: it is only asked if \
             --obuilder-registries (or --registries of obuilder) lists it"
        );
    }

    #[test]
    fn what_is_listed_is_asked_and_nothing_beside_it() {
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
        // A listed name may be anywhere. That an address is listed as a host is no reason for others to lead there.
        let local = "127.0.0.1".parse().unwrap();
        assert_eq!(some.check_resolved("store.example", local), Ok(()));
        assert!(some.check_resolved("evil.example", local).is_err());
        assert_eq!(
            some.check_resolved("evil.example", "10.1.2.3".parse().unwrap()),
            Ok(())
        );
    }

    #[test]
    fn a_list_is_read_or_refused() {
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
