//! The command lines of all programs, as data: manual pages, completion and the reference are made from these.

use crate::program::command;
use crate::{admin, client, obuilder, ocluster, scheduler, worker};

/// Returns the command line of each program, in the order in which somebody meets them.
pub fn all() -> [clap::Command; 6] {
    [
        command::<scheduler::Args>("ocluster-scheduler"),
        command::<worker::Args>("ocluster-worker"),
        command::<client::Args>("ocluster-client"),
        command::<admin::Args>("ocluster-admin"),
        command::<ocluster::Args>("ocluster"),
        command::<obuilder::Args>("obuilder"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_definitions_are_sound() {
        for program in all() {
            program.debug_assert();
        }
    }
}
