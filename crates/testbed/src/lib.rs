//! The whole system under test: clusters of real programs, used as their users do.
//!
//! A [`Site`] is a cluster and the terminal of somebody who uses it: command lines go in, and what was printed comes
//! out as [`Said`], which a test holds against what a user should read. The machines below it are `rig`'s.

mod held;
mod http;
mod program;
mod site;
mod submit;

pub use held::{Held, wait_until_gone};
pub use http::{get, query};
pub use program::{Running, Said};
pub use site::{POOL, Site};
pub use submit::Submit;

use std::time::Duration;

/// How long anything may take that a test waits for. Most things take a second; a machine that is out of breath gets
/// more.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Returns a word that nobody else uses on this machine: for finding the traces of what bears it.
///
/// # Errors
/// When the system gives no random numbers.
pub fn unique(what: &str) -> anyhow::Result<String> {
    Ok(format!("{what}-{:016x}", getrandom::u64()?))
}

/// Returns a Dockerfile that starts from `busybox` and then does `steps`, none of which an earlier build has left in
/// the engine's cache: what they print is printed now.
///
/// # Errors
/// When the system gives no random numbers.
pub fn busybox(steps: &str) -> anyhow::Result<String> {
    // A variable, since BuildKit looks at nothing less when it compares a command with those it has run.
    Ok(format!(
        "FROM busybox\nENV TEST_RUN={}\n{steps}\n",
        unique("run")?
    ))
}
