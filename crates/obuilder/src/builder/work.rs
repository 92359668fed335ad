//! A step that a build needs, and the work for it.

use std::rc::Rc;
use std::sync::Arc;

use bstr::BString;
use obuilder_spec::User;

use super::claims::Pin;
use super::healthcheck_program::Program;
use super::variant::Variant;
use crate::StepId;
use crate::copy::Manifest;
use crate::sandbox::{Command, Network};
use crate::store::{CacheName, View};

/// A step that a build needs.
pub(super) struct Step {
    /// The id that the reference gives it. Its result gets another id if another variant has this one.
    pub(super) id: StepId,
    pub(super) base: Option<StepId>,
    /// Inputs that the id does not include. `None` for a base image that was not imported by hand.
    pub(super) variant: Option<Variant>,
    /// Its op, as in the spec. Empty if that does not matter.
    pub(super) op: String,
    /// The work if there is no result yet.
    pub(super) work: Work,
}

/// The work of a step on its draft.
pub(super) enum Work {
    /// Fetches a base image.
    Import(BString),
    /// Makes the base image of the healthcheck.
    Prepare(Program),
    /// Runs a command, with these caches at these paths.
    Run(Box<Command>, Vec<(CacheName, BString)>),
    /// Copies files, which stay mounted while `_source` exists.
    Copy {
        manifest: Arc<Manifest>,
        owner: User,
        _source: Option<Rc<Nested>>,
    },
}

/// The files of a nested build, which stay mounted while this exists.
pub(super) struct Nested {
    pub(super) view: View,
    pub(super) _pin: Pin,
}

impl Work {
    /// Returns whether this makes a base image.
    pub(super) fn is_import(&self) -> bool {
        matches!(self, Self::Import(_) | Self::Prepare(_))
    }

    /// Returns whether other processes may get descriptors of the root filesystem: the step shares a network with
    /// them.
    pub(super) fn is_exposed(&self) -> bool {
        matches!(self, Self::Run(command, _) if command.network != Network::None)
    }

    /// Returns whether a command gets secrets, which may be in its result.
    pub(super) fn has_secrets(&self) -> bool {
        matches!(self, Self::Run(command, _) if !command.secrets.is_empty())
    }

    /// Returns whether this copies files, which may be another build's.
    pub(super) fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }
}
