//! The project's Compose file, started with the images that were just built.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, output_within, wait_for};
use testbed::{POOL, WAIT_LIMIT, unique};

use crate::images::{Images, root};

/// The time limit of a command. One of them is a job.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// The services of the Compose file, which end when this is dropped.
pub(crate) struct Compose {
    rig: Rig,
    images: Images,
    project: String,
}

impl Compose {
    /// Prepares to start them.
    pub(crate) fn new(rig: &Rig, images: &Images) -> Result<Self> {
        Ok(Self {
            rig: rig.clone(),
            images: images.clone(),
            project: unique("compose")?,
        })
    }

    /// Runs a command of `docker-compose`, and returns its output.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String> {
        let output = output_within(self.command().args(args), COMMAND_LIMIT)?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{args:?}: {stdout}{stderr}");
        Ok(stdout.trim().to_owned())
    }

    fn command(&self) -> Command {
        let socket = self.rig.docker.host().trim_start_matches("unix://");
        let mut command = Command::new("docker-compose");
        command
            .envs(self.rig.docker.env())
            .env("DOCKER_SOCKET", socket)
            .env("OCLUSTER_SCHEDULER_IMAGE", &self.images.scheduler)
            .env("OCLUSTER_WORKER_IMAGE", &self.images.worker)
            .env("OCLUSTER_DOCKER_PULL", "missing")
            // Any free port: no other machine uses it.
            .env("OCLUSTER_PORT", "127.0.0.1:")
            .args(["--project-name", &self.project, "--file"])
            .arg(root().join("compose.yaml"));
        command
    }

    /// Waits until the engine reports these services as healthy.
    pub(crate) fn wait_until_healthy(&self, services: &[&str]) -> Result<()> {
        for service in services {
            wait_for("health", WAIT_LIMIT, || {
                let health = self.inspect(service, "{{.State.Health.Status}}")?;
                Ok((health == "healthy").then_some(()))
            })
            .with_context(|| format!("{service} is not healthy"))?;
        }
        Ok(())
    }

    /// Runs a shell command in a service, and returns its output.
    pub(crate) fn shell(&self, service: &str, line: &str) -> Result<String> {
        self.run(&["exec", "-T", service, "sh", "-c", line])
    }

    /// Submits a job from the scheduler's container, as in the documentation, and returns its log.
    pub(crate) fn submit(&self, dockerfile: &str, options: &str) -> Result<String> {
        let line = format!(
            "cat > /tmp/Dockerfile <<'EOF'\n{dockerfile}\nEOF\n\
             ocluster-client submit-docker capnp-secrets/submission.cap --pool={POOL} \
             --local-dockerfile /tmp/Dockerfile {options}"
        );
        self.shell("scheduler", &line)
    }

    /// Returns a property of a service's container.
    pub(crate) fn inspect(&self, service: &str, format: &str) -> Result<String> {
        let container = self.run(&["ps", "--all", "--quiet", service])?;
        self.rig.docker.run(&["inspect", "-f", format, &container])
    }

    /// Waits until no process of a service is a zombie.
    pub(crate) fn wait_for_no_zombies(&self, service: &str) -> Result<()> {
        let states = "for process in /proc/[0-9]*; do cut -d' ' -f2,3 $process/stat; done";
        wait_for("end of the zombies", WAIT_LIMIT, || {
            let states = self.shell(service, states)?;
            let sleeps = states.contains("(sleep)");
            Ok((!sleeps && !states.contains(" Z")).then_some(()))
        })
    }

    /// Stops the services, and removes their data.
    pub(crate) fn finish(self) -> Result<()> {
        self.run(&["down", "--volumes"]).map(drop)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // After a successful test, there is nothing to do.
        drop(self.run(&["down", "--volumes", "--timeout=1"]));
    }
}
