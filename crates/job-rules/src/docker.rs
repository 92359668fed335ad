//! The rules of Docker jobs.

use cluster_api::{DockerBuild, Dockerfile, Secret};

use crate::secret_id::is_secret_id;

/// Why no worker can run a Docker job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerMistake {
    /// The path of its Dockerfile is invalid.
    #[error(transparent)]
    DockerfilePath(#[from] DockerfilePathError),
    /// A secret's id is invalid.
    #[error("secret id {0:?} is not allowed: use 1 to 64 letters, digits and _ . -")]
    SecretId(String),
    /// The classic builder passes no secrets to builds.
    #[error("secrets need BuildKit: submit the job with --buildkit")]
    SecretsNeedBuildKit,
    /// `docker` would take the value from its environment, which has addresses and credentials of the worker.
    #[error(
        "build argument {0:?} has no value: write NAME=VALUE, as a build does not see the worker's environment"
    )]
    BuildArgWithoutValue(String),
}

/// Why a path cannot be that of a Dockerfile in a job's source. The texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerfilePathError {
    /// `docker` would read the Dockerfile from its standard input.
    #[error("Path cannot be '-'!")]
    Dash,
    /// There is no path.
    #[error("Empty path!")]
    Empty,
    /// The path is not relative to the source.
    #[error("{0} is an absolute path!")]
    Absolute(String),
    /// Two slashes follow each other, or the path ends in one.
    #[error("Empty segment in {0}!")]
    EmptySegment(String),
    /// The path has a `..` in it.
    #[error("Relative segment in {0}")]
    Relative(String),
}

/// Checks a Docker job as far as its description allows.
///
/// # Errors
/// What is wrong with the job.
pub fn check_docker_build(build: &DockerBuild, secrets: &[Secret]) -> Result<(), DockerMistake> {
    if let Dockerfile::Path(path) = &build.dockerfile {
        check_dockerfile_path(path)?;
    }
    if let Some(secret) = secrets.iter().find(|secret| !is_secret_id(&secret.id)) {
        return Err(DockerMistake::SecretId(secret.id.clone()));
    }
    if !secrets.is_empty() && !build.buildkit {
        return Err(DockerMistake::SecretsNeedBuildKit);
    }
    if let Some(arg) = build.build_args.iter().find(|arg| !arg.contains('=')) {
        return Err(DockerMistake::BuildArgWithoutValue(arg.clone()));
    }
    Ok(())
}

/// Checks the path of a Dockerfile as far as that is possible without the source that it is in.
///
/// # Errors
/// What is wrong with the path.
pub fn check_dockerfile_path(path: &str) -> Result<(), DockerfilePathError> {
    match path {
        "-" => return Err(DockerfilePathError::Dash),
        "" => return Err(DockerfilePathError::Empty),
        _ if path.starts_with('/') => return Err(DockerfilePathError::Absolute(path.to_owned())),
        _ => {}
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err(DockerfilePathError::EmptySegment(path.to_owned())),
            ".." => return Err(DockerfilePathError::Relative(path.to_owned())),
            _ => {}
        }
    }
    Ok(())
}
