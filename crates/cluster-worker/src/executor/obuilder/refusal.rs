//! OBuilder jobs, on a worker that is not configured for them.

use cluster_api::Description;

use crate::executor::{AnyBuild, Backend, Executor};
use crate::outcome::JobError;

/// Refuses OBuilder jobs.
pub(crate) struct OBuilderRefusal;

impl Backend for OBuilderRefusal {}

impl<Build> Executor<Build> for OBuilderRefusal {
    fn admit<'a>(
        &'a self,
        _build: &'a Build,
        _job: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError> {
        Err(JobError::failed(
            "This worker is not configured for use with OBuilder!",
        ))
    }
}
