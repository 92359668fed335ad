//! Ranges of addresses: networks, and which of them are on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the IPv4 address in an IPv6 address that has one: the system connects to it.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(address), IpAddr::V4),
        address => address,
    }
}

pub(super) fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: u128, b: u128, size: u8| {
        // With no bits all are the same, and a shift by all bits is none.
        bits == 0 || (a ^ b).checked_shr(u32::from(size - bits)).unwrap_or(0) == 0
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

/// Returns whether an address is on the public internet, by the special-purpose address registries of IANA (RFC 6890).
pub(super) fn is_public(address: IpAddr) -> bool {
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
        // All other unicast addresses that have been allocated.
        _ => a & 0xe000 == 0x2000,
    }
}
