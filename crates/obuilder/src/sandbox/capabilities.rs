//! The capabilities of commands that run as root.

use std::str::FromStr;

use oci_spec::runtime::Capability;

use super::Network;

/// The capabilities of a command that runs as root, and the most that file capabilities of a program can give.
///
/// All sets are that of Docker or smaller. They differ in `NET_RAW` (`ping`) and `NET_BIND_SERVICE` (ports below 1024),
/// which many packages give to programs: the kernel does not start such a program if the set lacks one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepCapabilities {
    /// Docker's, but without the two for a step with a network, where it could intercept or forge the packets of
    /// others, or replace a service of the machine.
    #[default]
    Default,
    /// Docker's, with any network.
    Docker,
    /// The reference's: without the two, with any network.
    Upstream,
}

/// The capabilities of every command.
const USUAL: [Capability; 12] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// The capabilities that depend on the network.
const OF_NETWORK: [Capability; 2] = [Capability::NetRaw, Capability::NetBindService];

impl StepCapabilities {
    /// The option that sets them, for messages.
    pub const OPTION: &str = "--sandbox-caps";

    /// All sets, with their words.
    pub const ALL: [(&str, Self); 3] = [
        ("default", Self::Default),
        ("docker", Self::Docker),
        ("upstream", Self::Upstream),
    ];

    /// Returns the capabilities of a command with this network.
    pub(super) fn of(self, network: Network) -> Vec<Capability> {
        let with_network = match self {
            Self::Default => network == Network::None,
            Self::Docker => true,
            Self::Upstream => false,
        };
        let more = OF_NETWORK.into_iter().filter(|_| with_network);
        USUAL.into_iter().chain(more).collect()
    }
}

/// A word that is not a set of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid capabilities {0:?}: they must be default, docker or upstream")]
pub struct UnknownCapabilities(String);

impl FromStr for StepCapabilities {
    type Err = UnknownCapabilities;

    fn from_str(text: &str) -> Result<Self, UnknownCapabilities> {
        let found = Self::ALL.into_iter().find(|(word, _)| *word == text);
        found
            .map(|(_, capabilities)| capabilities)
            .ok_or_else(|| UnknownCapabilities(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_capabilities_are_for_steps_without_a_network() {
        let count =
            |word: &str, network| word.parse::<StepCapabilities>().unwrap().of(network).len();
        let counts = |word| [count(word, Network::None), count(word, Network::Host)];
        assert_eq!(counts("default"), [14, 12]);
        assert_eq!(counts("docker"), [14, 14]);
        assert_eq!(counts("upstream"), [12, 12]);
        let error = "all".parse::<StepCapabilities>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"invalid capabilities "all": they must be default, docker or upstream"#
        );
    }
}
