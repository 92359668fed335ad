//! The phases of attempts: worth less than what is saved beside them, so that they are tried once.

use super::{CommitterThread, Report};
use crate::{ChangedPhases, Writer};

/// The phases that are to be saved.
#[derive(Debug, Default)]
pub(super) struct Phases {
    pub(super) unsaved: Vec<ChangedPhases>,
    /// Whether they could not be saved the last time.
    is_failing: bool,
}

impl<W: Writer, F: Fn(Report)> CommitterThread<W, F> {
    /// Saves the phases, and reports when that begins to fail, or to succeed again.
    pub(super) fn save_phases(&mut self) {
        if self.phases.unsaved.is_empty() {
            return;
        }
        let unsaved = std::mem::take(&mut self.phases.unsaved);
        let saved = self.writer.save_phases(&unsaved);
        let was_failing = std::mem::replace(&mut self.phases.is_failing, saved.is_err());
        if was_failing != saved.is_err() {
            let saved = saved.map_err(|error| error.to_string());
            (self.report)(Report::PhasesSaved(saved));
        }
    }
}
