//! OBuilder jobs, for a worker that is not set up for them.

use std::path::Path;

use cluster_api::Description;
use futures::future::{FutureExt as _, LocalBoxFuture, ready};

use super::Executor;
use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;

/// Refuses OBuilder jobs.
pub(crate) struct OBuilderRefusal;

fn refusal() -> JobError {
    JobError::failed("This worker is not configured for use with OBuilder!")
}

impl Executor for OBuilderRefusal {
    fn admit(&self, _job: &Description) -> Result<(), JobError> {
        Err(refusal())
    }

    fn run<'a>(
        &'a self,
        _job: &'a Description,
        _source: &'a Path,
        _log: &'a JobLog,
        _cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<String, JobError>> {
        ready(Err(refusal())).boxed_local()
    }
}
