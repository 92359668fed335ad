//! What `ocluster doctor` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::Output;
use super::Shape::Object;

/// Returns what the command prints.
pub(super) fn schemas() -> Vec<Output> {
    vec![Output::new::<Report>("ocluster", "doctor", Object)]
}

/// Whether a machine or a cluster is fit. The exit code is 1 if it is not.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Whether there is no problem.
    pub fit: bool,
    /// What was looked at, in the order in which people read it.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// What it is.
    pub name: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was found, in words.
    pub found: String,
    /// What to do, in words. Null when there is nothing to do.
    pub advice: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It could not be looked at, or there is no need to.
    Skipped,
    /// It works, and may not for long or not for everybody.
    Warning,
    /// Jobs would fail.
    Problem,
}
