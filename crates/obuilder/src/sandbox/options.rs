//! Options for all commands of a sandbox.

use cgroup::Limits;

use super::{Filter, StepCapabilities, StepNetwork};

/// Options for all commands of a sandbox.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// Whether calls that wait for a disk, such as `fsync`, do nothing and succeed.
    pub fast_sync: bool,
    /// The system calls that commands may make.
    pub filter: Filter,
    /// The capabilities of commands that run as root.
    pub capabilities: StepCapabilities,
    /// The limits for each command with all its processes. Each command has its own.
    pub limits: Limits,
    /// The network for commands that request the machine's.
    pub network: StepNetwork,
}
