//! The condition of a builder: its free space and its health.

use std::time::Duration;

use obuilder::store::Space;

use crate::executor::Unfit;

/// The condition of a builder.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::executor::obuilder) struct Condition {
    /// The last measurement of the free space.
    pub(in crate::executor::obuilder) space: Option<Space>,
    /// Whether there is too little free space, and what is done about it.
    pub(in crate::executor::obuilder) shortage: Option<Shortage>,
    /// The error of the last health check, if it failed.
    pub(in crate::executor::obuilder) health_error: Option<String>,
    /// How long the last health check took.
    pub(in crate::executor::obuilder) check_time: Duration,
}

/// Too little free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::executor::obuilder) enum Shortage {
    /// The store is being pruned.
    MakingRoom,
    /// Removing everything would not reach the minimum.
    Full {
        /// How many bytes are free.
        free: u64,
        /// How many bytes must be free.
        minimum: u64,
    },
}

impl Condition {
    /// Returns why the worker takes no jobs.
    pub(in crate::executor::obuilder) fn unfit(&self) -> Option<Unfit> {
        // A full store also fails the health check, and has the more useful advice.
        match (&self.health_error, self.shortage) {
            (_, Some(Shortage::Full { free, minimum })) => Some(Unfit::StoreFull { free, minimum }),
            (Some(reason), _) => Some(Unfit::Unhealthy(reason.clone())),
            (None, Some(Shortage::MakingRoom)) => Some(Unfit::MakingRoom),
            (None, None) => None,
        }
    }

    pub(in crate::executor::obuilder) fn is_making_room(&self) -> bool {
        self.shortage == Some(Shortage::MakingRoom)
    }

    /// Returns how much was free at the last measurement, in percent.
    pub(in crate::executor::obuilder) fn free_percent(&self) -> f64 {
        self.space.map_or(0.0, Space::free_percent)
    }
}
