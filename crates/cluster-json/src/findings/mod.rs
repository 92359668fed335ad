//! What needs attention in a pool, for people: `ocluster doctor --connect` prints it, and pages show it.

mod pool;
mod worker;

pub use self::pool::of_pool;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The worker that it is about; `None` if it is about the pool.
    pub worker: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What to do; `None` if there is nothing to do.
    pub advice: Option<String>,
}

/// How bad it is what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is as it should be.
    Fine,
    /// It works, but may soon fail, or fail for some.
    Warning,
    /// Jobs fail, or wait for nothing.
    Problem,
}

/// Builds the command lines that help with a pool.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a> {
    /// The operator's cap file.
    pub cap: &'a str,
    /// The name of the pool.
    pub pool: &'a str,
}

impl Commands<'_> {
    /// Returns the line of `ocluster-admin` with this command for the pool, or for `worker` if it is not empty.
    pub fn line(&self, command: &str, worker: &str) -> String {
        let line = format!(
            "ocluster-admin {command} {} {} {worker}",
            self.cap, self.pool
        );
        line.trim_end().to_owned()
    }
}
