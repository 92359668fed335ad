//! The project's Compose file, brought up with the images that were just built.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, output_within, wait_for};
use testbed::{PATIENCE, POOL, unique};

use crate::images::{Images, root};

/// How long a command may take. One of them is a job.
const LIMIT: Duration = Duration::from_secs(180);

/// The services of the Compose file. They end with this.
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

    /// Runs a command of `docker-compose`, and returns what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String> {
        let output = output_within(self.command().args(args), LIMIT)?;
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
            // Any that is free: nobody comes from outside.
            .env("OCLUSTER_PORT", "127.0.0.1:")
            .args(["--project-name", &self.project, "--file"])
            .arg(root().join("compose.yaml"));
        command
    }

    /// Waits until the engine finds that these services are well.
    pub(crate) fn wait_until_healthy(&self, services: &[&str]) -> Result<()> {
        for service in services {
            wait_for("health", PATIENCE, || {
                let health = self.inspect(service, "{{.State.Health.Status}}")?;
                Ok((health == "healthy").then_some(()))
            })
            .with_context(|| format!("{service} is not healthy"))?;
        }
        Ok(())
    }

    /// Runs a line of shell in a service, and returns what it printed.
    pub(crate) fn shell(&self, service: &str, line: &str) -> Result<String> {
        self.run(&["exec", "-T", service, "sh", "-c", line])
    }

    /// Submits a job from the scheduler's container, as the document says, and returns its log.
    pub(crate) fn submit(&self, dockerfile: &str, options: &str) -> Result<String> {
        let line = format!(
            "cat > /tmp/Dockerfile <<'EOF'\n{dockerfile}\nEOF\n\
             ocluster-client submit-docker capnp-secrets/submission.cap --pool={POOL} \
             --local-dockerfile /tmp/Dockerfile {options}"
        );
        self.shell("scheduler", &line)
    }

    /// Returns something that the engine knows about a service's container.
    pub(crate) fn inspect(&self, service: &str, format: &str) -> Result<String> {
        let container = self.run(&["ps", "--all", "--quiet", service])?;
        self.rig.docker.run(&["inspect", "-f", format, &container])
    }

    /// Waits until no process of a service has ended without anybody noticing.
    pub(crate) fn wait_for_no_zombies(&self, service: &str) -> Result<()> {
        let states = "for process in /proc/[0-9]*; do cut -d' ' -f2,3 $process/stat; done";
        wait_for("end of the zombies", PATIENCE, || {
            let states = self.shell(service, states)?;
            let sleeps = states.contains("(sleep)");
            Ok((!sleeps && !states.contains(" Z")).then_some(()))
        })
    }

    /// Stops the services, and removes what they kept.
    pub(crate) fn finish(self) -> Result<()> {
        self.run(&["down", "--volumes"]).map(drop)
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        // For a test that failed; where it did not there is nothing to do.
        drop(self.run(&["down", "--volumes", "--timeout=1"]));
    }
}
