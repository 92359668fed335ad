//! Custom jobs: agreements between clients and workers, of which this worker has made none.

use std::path::Path;

use cluster_api::Description;
use futures::future::{FutureExt as _, LocalBoxFuture, ready};

use super::Executor;
use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;

/// Refuses custom jobs.
pub(crate) struct CustomExecutor;

fn refusal() -> JobError {
    JobError::failed("Unsupported custom job")
}

impl Executor for CustomExecutor {
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
