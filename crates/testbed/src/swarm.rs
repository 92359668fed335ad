//! A Docker client that knows of a swarm.
//!
//! A worker in a container updates itself as a service of a Docker swarm would be updated, and the machine that runs the
//! tests may be a container. There is no swarm, nor the image that upstream's worker would change to, so what the worker
//! asks for them is answered here; everything else goes to the real client.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;
use rig::Docker;

/// Returns `docker` by way of such a client, which is made in `folder`.
pub(crate) fn docker(docker: &Docker, folder: &Path) -> Result<Docker> {
    let client = docker.program();
    let script = format!(
        r#"#!/bin/sh
case "$*" in
    "pull ocurrent/ocluster-worker:live" | "service update --image "*) ;;
    "image inspect -f "*" -- ocurrent/ocluster-worker:live") echo ocurrent/ocluster-worker@sha256:0 ;;
    *) exec '{}' "$@" ;;
esac
"#,
        client.display()
    );
    fs::create_dir_all(folder)?;
    let program = folder.join("docker");
    if !program.exists() {
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    }
    Ok(docker.through(folder))
}
