//! Rules that every job must keep, whichever worker runs it.
//!
//! A client checks them before it submits a job, so that a mistake does not wait in the queue first. A worker checks
//! them again when it gets the job, as clients may have checked nothing.
//!
//! ```
//! use cluster_api::{Action, Description, DockerBuild};
//! use job_rules::{Mistake, find_mistake};
//!
//! let mut job = Description::new(Action::Docker(DockerBuild::default()));
//! job.repository = "ssh://git@example.com/project.git".into();
//! job.commits = vec!["0123456789".repeat(4)];
//! assert!(matches!(find_mistake(&job), Err(Mistake::Repository(_))));
//! ```

mod commit_id;
mod docker;
mod git_url;
mod mistake;
mod secret_id;
mod source_request;

pub use commit_id::{CommitId, CommitIdError};
pub use docker::{DockerMistake, DockerfilePathError, check_docker_build, check_dockerfile_path};
pub use git_url::{Credentials, GitUrl, GitUrlError, url_secrets};
pub use mistake::{Mistake, find_mistake};
pub use secret_id::is_secret_id;
pub use source_request::{SourceError, SourceRequest};
