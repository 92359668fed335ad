//! How a worker builds OBuilder specs.

use obuilder::Setup;

use super::upkeep::Upkeep;

/// How a worker builds OBuilder specs.
#[derive(Clone)]
pub struct OBuilderConfig {
    /// The parts of the builder.
    pub setup: Setup,
    /// When to prune the store, and when to check the builder's health.
    pub upkeep: Upkeep,
}
