//! A step that a build wants, and what has to be done for it.

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

/// A step that a build wants.
pub(super) struct Step {
    /// The id that the reference gives it. Its result has another if this one is taken by another variant.
    pub(super) id: StepId,
    pub(super) base: Option<StepId>,
    /// What the id does not say. `None` for a base image that was not imported by hand.
    pub(super) variant: Option<Variant>,
    /// What it is, as the spec has it. Empty if that does not matter.
    pub(super) op: String,
    /// What to do if there is no result yet.
    pub(super) work: Work,
}

/// What a step does to its draft.
pub(super) enum Work {
    /// Brings a base image.
    Import(BString),
    /// Makes the base image of the healthcheck.
    Prepare(Program),
    /// Runs a command, with these caches at these places.
    Run(Box<Command>, Vec<(CacheName, BString)>),
    /// Copies files, which stay where they are for as long as `_source` lives.
    Copy {
        manifest: Arc<Manifest>,
        owner: User,
        _source: Option<Rc<Nested>>,
    },
}

/// The files of a nested build, which stay where they are for as long as this lives.
pub(super) struct Nested {
    pub(super) view: View,
    pub(super) _pin: Pin,
}

impl Work {
    /// Returns whether this makes a base image.
    pub(super) fn is_import(&self) -> bool {
        matches!(self, Self::Import(_) | Self::Prepare(_))
    }

    /// Returns whether others may come by descriptors of the root filesystem: it shares a network with them.
    pub(super) fn is_exposed(&self) -> bool {
        matches!(self, Self::Run(command, _) if command.network != Network::None)
    }

    /// Returns whether this copies files, which may be another build's.
    pub(super) fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }
}
