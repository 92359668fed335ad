//! The network for steps that request the machine's.

use std::str::FromStr;

/// The network of a step with `(network host)`. Other steps never have a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepNetwork {
    /// The machine's network. The step can reach services on 127.0.0.1 and abstract sockets, as root, and other
    /// steps with this network.
    #[default]
    Host,
    /// A network of its own, which reaches public IPv4 addresses and the machine's DNS server, and which cannot be
    /// reached.
    Outbound,
    /// No network: the step fails.
    Forbid,
}

impl StepNetwork {
    /// The option that sets it, for messages.
    pub const OPTION: &str = "--step-network";

    /// All networks, with their words.
    pub const ALL: [(&str, Self); 3] = [
        ("host", Self::Host),
        ("outbound", Self::Outbound),
        ("forbid", Self::Forbid),
    ];
}

/// A word that is not a network.
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
