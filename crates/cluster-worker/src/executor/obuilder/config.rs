//! How a worker builds OBuilder specs.

use obuilder::Setup;

use super::upkeep::Upkeep;

/// How a worker builds OBuilder specs.
#[derive(Clone)]
pub struct OBuilderConfig {
    /// What the builder works with.
    pub setup: Setup,
    /// When to make room, and when to check that all is well.
    pub upkeep: Upkeep,
}
