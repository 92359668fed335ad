//! The parts of a Dockerfile that become parts of `docker`'s command lines, for a fuzzer to check.

use std::path::Path;

use super::commands::{Build, Docker};
use super::frontend::Frontends;
use super::images::Images;
use crate::process::Environment;
use crate::process::fuzzing::CommandLine;

/// How a worker uses a Dockerfile.
#[derive(Debug)]
pub struct DockerfileUse {
    /// The Dockerfile as `docker` gets it.
    pub dockerfile: String,
    /// The build arguments as `docker` gets them.
    pub build_args: Vec<String>,
    /// The parts that were left out of both.
    pub ignored: Vec<String>,
    /// The images that its stages begin with.
    pub bases: Vec<String>,
    /// The command of the build.
    pub command: CommandLine,
}

/// Returns what a worker that allows no frontends does with a Dockerfile and build arguments.
///
/// # Errors
/// The line of the job's log when they are refused.
pub fn dockerfile_use(dockerfile: &str, build_args: &[String]) -> Result<DockerfileUse, String> {
    let checked = Frontends::default()
        .check(dockerfile, build_args)
        .map_err(|error| error.to_string())?;
    let dockerfile = checked.dockerfile.unwrap_or_else(|| dockerfile.to_owned());
    let images = Images::of(&dockerfile, &checked.build_args, true);
    images.check().map_err(|error| error.to_string())?;
    Ok(DockerfileUse {
        bases: images.bases,
        ignored: checked.ignored,
        command: build_command(&checked.build_args),
        build_args: checked.build_args,
        dockerfile,
    })
}

fn build_command(build_args: &[String]) -> CommandLine {
    let docker = Docker {
        command: "docker".into(),
        environment: Environment::default(),
    };
    let build = Build {
        build_args,
        squash: false,
        secrets: &[],
        pull: true,
        iid_file: Path::new("/iid"),
        dockerfile: Path::new("/context/Dockerfile"),
        context: Path::new("/context"),
        buildkit: true,
        host: None,
        limits: &cgroup::Limits::default(),
    };
    docker.build(&build).into()
}
