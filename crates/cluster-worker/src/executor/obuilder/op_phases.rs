//! The phases of a build: its base images and its steps.

use bstr::BString;
use cluster_api::PhaseKind;
use obuilder::builder::OpProgress;

use crate::log::{JobLog, LogError, OpenPhase};

/// Follows the ops of a build, and records them as phases of its job.
pub(super) struct OpPhases<'a> {
    log: &'a JobLog,
    /// The heading that was written last, and where it begins.
    heading: (String, u64),
    current: Option<OpenPhase<'a>>,
}

impl<'a> OpPhases<'a> {
    pub(super) fn new(log: &'a JobLog) -> Self {
        Self {
            log,
            heading: (String::new(), 0),
            current: None,
        }
    }

    /// A heading comes next in the log.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub(super) fn heading(&mut self, text: &BString) -> Result<(), LogError> {
        // Nothing before it belongs to it.
        self.log.flush()?;
        self.heading = (text.to_string(), self.log.length());
        Ok(())
    }

    pub(super) fn report(&mut self, progress: OpProgress) {
        match progress {
            OpProgress::ImageBegan => self.begin(PhaseKind::Image),
            OpProgress::StepBegan => self.begin(PhaseKind::Step),
            OpProgress::Reused => self.current.iter().for_each(OpenPhase::set_cached),
            OpProgress::Ended => self.current = None,
        }
    }

    fn begin(&mut self, kind: PhaseKind) {
        // The one before it ends first.
        self.current = None;
        let (text, offset) = &self.heading;
        self.current = Some(self.log.phase_at(kind, text, *offset));
    }
}
