//! Replaces this worker by its latest version, if it runs as a service of a Docker swarm; else it only ends, for its
//! supervisor to start it again.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cancel::Cancel;
use crate::process::{Command, Environment, Processes};

/// Upstream's image of the worker, and its service's name.
const IMAGE: &str = "ocurrent/ocluster-worker:live";
const IMAGE_PREFIX: &str = "ocurrent/ocluster-worker@";
const SERVICE: &str = "builder_agent";

/// Exists in containers, and nowhere else.
pub(crate) const CONTAINER_MARK: &str = "/.dockerenv";

/// Updates the worker.
pub(crate) struct Updater {
    docker: OsString,
    environment: Environment,
    processes: Processes,
    container_mark: PathBuf,
}

/// A version to change to, of which everything is here already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Update {
    /// Nothing to change: starting again is enough.
    Restart,
    /// This image, by its digest.
    Image(String),
}

impl Updater {
    /// `container_mark` is a file that exists if this is a container.
    pub(crate) fn new(
        docker: OsString,
        environment: Environment,
        processes: Processes,
        container_mark: PathBuf,
    ) -> Self {
        Self {
            docker,
            environment,
            processes,
            container_mark,
        }
    }

    /// Fetches the latest version, while jobs go on.
    pub(crate) async fn fetch(&self) -> Result<Update, String> {
        if !self.container_mark.exists() {
            return Ok(Update::Restart);
        }
        self.ask("docker-pull", &["pull", IMAGE]).await?;
        let format = "{{ range index .RepoDigests }}{{ . }} {{ end }}";
        let digests = self
            .ask(
                "docker-inspect",
                &["image", "inspect", "-f", format, "--", IMAGE],
            )
            .await?;
        let id = digests
            .split_whitespace()
            .find(|digest| digest.starts_with(IMAGE_PREFIX));
        let id = id.ok_or_else(|| format!("No new image starts with {IMAGE_PREFIX:?}!"))?;
        tracing::info!("Latest service version is {id}");
        Ok(Update::Image(id.to_owned()))
    }

    /// Changes to it, once there are no jobs.
    pub(crate) async fn apply(&self, update: &Update) -> Result<(), String> {
        match update {
            Update::Restart => Ok(()),
            Update::Image(id) => {
                let args = ["service", "update", "--image", id, SERVICE];
                self.ask("docker-service-update", &args).await.map(drop)
            }
        }
    }

    async fn ask(&self, label: &'static str, args: &[&str]) -> Result<String, String> {
        let command = Command::new(label, self.docker.clone(), args, self.environment.clone());
        self.processes
            .ask(&command, &Cancel::new())
            .await
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Update, Updater};
    use crate::process::{Environment, Processes};
    use crate::testing::local;

    /// Updates with a script for `docker`, in a container or not.
    async fn update(docker: &str, in_container: bool) -> Result<Update, String> {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("docker");
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in\n{docker}\n*) echo \"unexpected: docker $*\" >&2; exit 99 ;;\nesac\n"
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let environment = Environment::default().with("PATH", "/usr/bin:/bin");
        let mark = dir
            .path()
            .join(if in_container { "docker" } else { "nosuch" });
        let updater = Updater::new(script.into(), environment, Processes::new(), mark);
        let update = updater.fetch().await?;
        updater.apply(&update).await?;
        Ok(update)
    }

    #[test]
    fn the_ways_to_update() {
        local(async {
            assert_eq!(update("", false).await, Ok(Update::Restart));
            let pull = "'pull ocurrent/ocluster-worker:live') ;;";
            let image = format!(
                "{pull}\n'image inspect -f '*) echo x@sha256:1 ocurrent/ocluster-worker@sha256:2 ;;"
            );
            let done = format!(
                "{image}\n'service update --image ocurrent/ocluster-worker@sha256:2 builder_agent') ;;"
            );
            let id = "ocurrent/ocluster-worker@sha256:2".to_owned();
            assert_eq!(update(&done, true).await, Ok(Update::Image(id)));
            let failed = "docker-service-update failed with exit-code 99".to_owned();
            assert_eq!(update(&image, true).await, Err(failed));
            let other = format!("{pull}\n'image inspect -f '*) echo x@sha256:1 ;;");
            let none = "No new image starts with \"ocurrent/ocluster-worker@\"!".to_owned();
            assert_eq!(update(&other, true).await, Err(none));
            assert_eq!(
                update("", true).await,
                Err("docker-pull failed with exit-code 99".to_owned())
            );
        });
    }
}
