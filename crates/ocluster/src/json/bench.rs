//! What `ocluster bench` prints.

use schemars::JsonSchema;
use serde::Serialize;

use super::Output;
use super::Shape::Object;

/// Returns what each command prints.
pub(super) fn schemas() -> Vec<Output> {
    vec![Output::new::<Measurements>("ocluster", "bench", Object)]
}

/// What was measured, in that order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Measurements(pub(crate) Vec<Measurement>);

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Measurement {
    /// The scenario, as it was named on the command line.
    pub(crate) scenario: &'static str,
    /// How much of everything there was.
    pub(crate) setup: String,
    /// What was measured.
    pub(crate) metric: &'static str,
    /// The number.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
}
