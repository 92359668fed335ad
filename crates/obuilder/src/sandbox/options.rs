//! What holds for every command of a sandbox.

use cgroup::Limits;

use super::{Filter, StepCapabilities, StepNetwork};

/// What holds for every command of a sandbox.
#[derive(Debug, Clone, Default)]
pub struct SandboxOptions {
    /// Whether commands need not wait for a disk: calls such as `fsync` do nothing and succeed.
    pub fast_sync: bool,
    /// Which system calls commands may make.
    pub filter: Filter,
    /// What commands may do as root.
    pub capabilities: StepCapabilities,
    /// What each command may use, with all that it starts. What one has is not taken from another's.
    pub limits: Limits,
    /// What a command gets that asks for the machine's network.
    pub network: StepNetwork,
}
