//! The whole system under test: clusters of real programs, used by their command lines.
//!
//! A [`Site`] is a cluster and a user's terminal: it runs command lines, and returns their [`Output`], which a test
//! compares with what a user should read. The machines for it are from `rig`.

mod http;
mod memory;
mod program;
mod site;

pub use http::{get, query};
pub use memory::peak_memory;
pub use program::{Output, Program};
pub use site::{HeldJob, LeftJob, POOL, Site, Submit, wait_until_gone};

use std::time::Duration;

/// The time limit for everything that a test waits for. Most things take a second; a busy machine needs longer.
pub const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// Returns a unique word, by which the traces of a test can be found on this machine.
///
/// # Errors
/// When the system has no random numbers.
pub fn unique(what: &str) -> anyhow::Result<String> {
    Ok(format!("{what}-{:016x}", getrandom::u64()?))
}

/// Returns a Dockerfile that starts from `busybox` and then does `steps`, none of which are in the engine's cache:
/// their output is printed again.
///
/// # Errors
/// When the system has no random numbers.
pub fn busybox(steps: &str) -> anyhow::Result<String> {
    // A variable, because BuildKit ignores comments and labels when it looks up a command in its cache.
    Ok(format!(
        "FROM busybox\nENV TEST_RUN={}\n{steps}\n",
        unique("run")?
    ))
}
