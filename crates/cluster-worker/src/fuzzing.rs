//! Internal functions for the fuzzer. They are not part of the interface, and may change at any time.

pub use crate::executor::docker_fuzzing::{DockerfileUse, dockerfile_use};
pub use crate::log::fuzzing::build_phases;
pub use crate::process::fuzzing::CommandLine;
pub use crate::source::fuzzing::{GitUse, git_use};
