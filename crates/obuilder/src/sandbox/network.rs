//! What a step gets that asks for the machine's network.

use std::str::FromStr;

/// What a step gets that says `(network host)`. One that does not has no network, whatever this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepNetwork {
    /// The machine's network, as it says. It reaches services on 127.0.0.1 and abstract sockets, as root, and other steps that
    /// have it.
    #[default]
    Host,
    /// A network of its own, from which it reaches public IPv4 addresses and the machine's DNS server, and which nothing
    /// reaches.
    Outbound,
    /// A refusal.
    Forbid,
}

impl StepNetwork {
    /// The option that sets it, by which texts call it.
    pub const OPTION: &str = "--step-network";

    /// All, with the words for them.
    pub const ALL: [(&str, Self); 3] = [
        ("host", Self::Host),
        ("outbound", Self::Outbound),
        ("forbid", Self::Forbid),
    ];
}

/// A word that means no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid network {0:?}: it must be host, outbound or forbid")]
pub struct UnknownNetwork(String);

impl FromStr for StepNetwork {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        let found = Self::ALL.into_iter().find(|(word, _)| *word == text);
        found
            .map(|(_, network)| network)
            .ok_or_else(|| UnknownNetwork(text.to_owned()))
    }
}
