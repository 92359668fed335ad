//! The check of a whole job.

use cluster_api::{Action, Description};

use crate::docker::check_docker_build;
use crate::source_request::{SourceError, SourceRequest};

/// Why no worker can run a job. Shown without the credentials in its URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Workers do not fetch from the repository.
    #[error("{0}")]
    Repository(String),
    /// An id in the list of commits is invalid.
    #[error("{0}")]
    Commit(String),
    /// The build itself is invalid.
    #[error("{0}")]
    Build(String),
}

/// Checks a job as far as its description allows, so that a client can refuse it before it is queued.
///
/// The spec of an OBuilder job is not checked here: a client that has its file can give a better error.
///
/// # Errors
/// What is wrong with the job.
pub fn find_mistake(job: &Description) -> Result<(), Mistake> {
    SourceRequest::of(job, false).map_err(|error| match &error {
        SourceError::Url(url) => Mistake::Repository(url.to_string()),
        SourceError::Commit(_) | SourceError::MixedFormats(..) => {
            Mistake::Commit(error.to_string())
        }
    })?;
    match &job.action {
        Action::Docker(build) => check_docker_build(build, &job.secrets)
            .map_err(|mistake| Mistake::Build(mistake.to_string())),
        Action::OBuilder(_) | Action::Custom(_) => Ok(()),
    }
}
