//! What is read out of a Dockerfile and put into `docker`'s command lines, for a fuzzer to look at.

use std::path::Path;

use super::commands::{Build, Docker};
use crate::fuzzing::CommandLine;
use crate::process::Environment;

/// Returns the images that a Dockerfile begins with.
pub fn base_images(dockerfile: &str) -> Vec<String> {
    super::base_images::base_images(dockerfile)
}

/// Returns the command of a build with these build arguments.
pub fn build_command(build_args: &[String]) -> CommandLine {
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
    };
    docker.build(&build).into()
}
