//! What `ocluster doctor` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::Output;
use super::Shape::Object;

/// Returns what the command prints.
pub(super) fn schemas() -> Vec<Output> {
    vec![Output::new::<Report>("ocluster", "doctor", Object)]
}

/// The state of a machine or a cluster. The exit code is 1 if there is a problem.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Whether there is no problem.
    pub(crate) fit: bool,
    /// The checks, in the order in which people read them.
    pub(crate) checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Check {
    /// What was checked.
    pub(crate) name: String,
    /// Its outcome.
    pub(crate) outcome: Outcome,
    /// What was found, for people.
    pub(crate) found: String,
    /// What to do, for people. Null if there is nothing to do.
    pub(crate) advice: Option<String>,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// As it should be.
    Ok,
    /// Not checked, as that is impossible or not needed.
    Skipped,
    /// It works, but may soon fail, or fail for some.
    Warning,
    /// Jobs would fail.
    Problem,
}
