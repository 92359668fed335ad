//! What a command may do as root beyond what everybody may.

use std::str::FromStr;

use oci_spec::runtime::Capability;

use super::Network;

/// Which capabilities a command has as root, and at most by a program's file capabilities.
///
/// All sets are Docker's or less. What they differ in are `NET_RAW` (`ping`) and `NET_BIND_SERVICE` (ports below 1024), which many
/// packages give to programs: the kernel does not start such a program where the set lacks one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StepCapabilities {
    /// Docker's; but neither of the two in a step that asks for a network, where it could listen to others, pretend to be them, or
    /// answer in the place of a service of the machine's.
    #[default]
    Default,
    /// Docker's, whatever the network.
    Docker,
    /// The reference's: neither of the two, whatever the network.
    Upstream,
}

/// What every command has.
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

/// What is about the network that a command has.
const OF_NETWORK: [Capability; 2] = [Capability::NetRaw, Capability::NetBindService];

impl StepCapabilities {
    /// The option that sets them, by which texts call it.
    pub const OPTION: &str = "--sandbox-caps";

    /// All, with the words for them.
    pub const ALL: [(&str, Self); 3] = [
        ("default", Self::Default),
        ("docker", Self::Docker),
        ("upstream", Self::Upstream),
    ];

    /// Returns those of a command that asks for this network.
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

/// A word that means no set of capabilities.
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
    fn what_is_about_the_network_is_for_steps_without_one() {
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
