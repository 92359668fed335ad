//! What is wrong with a job whatever worker gets it, so that a client can say so before the job waits in a queue.
//!
//! The rules are those by which jobs are run, from where they are. A worker looks again: its clients may be anybody's.

use cluster_api::{Action, Description};

use crate::executor::find_docker_mistake;
use crate::source::{SourceError, SourceRequest};

/// Why no worker can do a job. Shown without the credentials in its URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It names a repository that workers do not fetch from.
    #[error("{0}")]
    Repository(String),
    /// It names something else where the id of a commit belongs.
    #[error("{0}")]
    Commit(String),
    /// The build itself makes no sense.
    #[error("{0}")]
    Build(String),
}

/// Fails with what is wrong with a job, as far as that can be told without its source and its worker.
///
/// The spec of an OBuilder job is not looked at: who has it as a file can say more.
pub fn find_mistake(job: &Description) -> Result<(), Mistake> {
    SourceRequest::of(job, false).map_err(|error| match &error {
        SourceError::Url(url) => Mistake::Repository(url.to_string()),
        SourceError::BadCommit(_) | SourceError::MixedFormats(..) => {
            Mistake::Commit(error.to_string())
        }
    })?;
    match &job.action {
        Action::Docker(build) => find_docker_mistake(build, &job.secrets).map_err(Mistake::Build),
        Action::OBuilder(_) | Action::Custom(_) => Ok(()),
    }
}
