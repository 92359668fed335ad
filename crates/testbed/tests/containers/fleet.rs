//! A scheduler, and workers as services of a swarm, as upstream runs them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Rig, output_within, wait_for};
use testbed::{POOL, Site, WAIT_LIMIT};

/// The repository of the worker's image, and the tag that services follow.
const REPOSITORY: &str = "containers/ocluster-worker";
const TAG: &str = "live";

/// How long a worker may take to reconnect, in seconds: enough for a busy machine. The test waits for one that does
/// not.
const UPDATE_TIMEOUT: &str = "--update-timeout=60";

/// The time limit of a command. One of them compresses the whole image, to push it.
const COMMAND_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Workers as services of a swarm, and their scheduler.
pub(crate) struct Fleet {
    pub(crate) site: Site,
    rig: Rig,
    /// The base of what `publish` makes.
    first: String,
    services: Vec<String>,
}

impl Fleet {
    /// Starts a scheduler, publishes `image`, and creates a service of it for each of the workers `names`.
    pub(crate) fn start(rig: &Rig, image: &str, names: &[&str]) -> Result<Self> {
        let mut fleet = Self {
            site: Site::start_with(rig, &[POOL], &[UPDATE_TIMEOUT])?,
            rig: rig.clone(),
            first: image.to_owned(),
            services: Vec::new(),
        };
        // Its workers are containers that connect to the scheduler on loopback.
        let cluster = &fleet.site.cluster;
        rig.docker.reach(cluster.holder(), cluster.port())?;
        let registry = &rig.registry;
        let (user, password) = (&registry.user, &registry.password);
        fleet.docker(&["login", "-u", user, "-p", password, &registry.address])?;
        fleet.publish("LABEL version=1")?;
        for name in names {
            fleet.start_service(name)?;
        }
        fleet
            .site
            .wait_for_state(&format!("capacity: {}\n", 2 * names.len()))?;
        Ok(fleet)
    }

    fn start_service(&mut self, name: &str) -> Result<()> {
        let service = service_of(name);
        let folder = self.site.folder().display();
        let socket = self.rig.docker.host().trim_start_matches("unix://");
        let mounts = [
            format!("type=bind,src={socket},dst=/var/run/docker.sock"),
            format!("type=bind,src={folder}/capnp-secrets/pool-{POOL}.cap,dst=/pool.cap,readonly"),
            format!("type=bind,src={folder}/docker-config,dst=/root/.docker"),
            format!("type=volume,src={service},dst=/var/lib/ocluster-worker"),
        ];
        let mounts = mounts.iter().flat_map(|mount| ["--mount", mount]);
        let mut create = vec!["service", "create", "--detach", "--with-registry-auth"];
        create.extend(["--name", &service, "--network=host", "--restart-delay=1s"]);
        create.extend(mounts);
        let image = self.rig.registry.image(&format!("{REPOSITORY}:{TAG}"));
        let name = format!("--name={name}");
        create.extend([image.as_str(), "/pool.cap", &name, "--capacity=2"]);
        create.extend([
            "--state-dir=/var/lib/ocluster-worker",
            "--docker-pull=missing",
        ]);
        self.docker(&create)?;
        self.services.push(service);
        Ok(())
    }

    /// Pushes a new version, which is the first one with `change`. Returns its id.
    pub(crate) fn publish(&self, change: &str) -> Result<String> {
        let dockerfile = format!("FROM {}\n{change}\n", self.first);
        let context = self.site.folder().join("version");
        std::fs::create_dir_all(&context)?;
        std::fs::write(context.join("Dockerfile"), dockerfile)?;
        let context = context.display().to_string();
        let image = self.rig.registry.image(&format!("{REPOSITORY}:{TAG}"));
        self.docker(&["build", "--quiet", "--tag", &image, &context])?;
        self.docker(&["push", "--quiet", &image])?;
        let id = self.docker(&["image", "inspect", "-f", "{{.Id}}", &image])?;
        // So that the workers fetch it.
        self.docker(&["image", "rm", &image])?;
        Ok(id)
    }

    /// Returns the id of a worker's image.
    pub(crate) fn image_of(&self, worker: &str) -> Result<String> {
        let container = self.container_of(worker)?;
        self.docker(&["inspect", "-f", "{{.Image}}", &container])
    }

    /// Returns the container of a worker.
    pub(crate) fn container_of(&self, worker: &str) -> Result<String> {
        let service = format!("label=com.docker.swarm.service.name={}", service_of(worker));
        let running = self.docker(&["ps", "--no-trunc", "-q", "--filter", &service])?;
        let container = running.lines().next();
        Ok(container.context("it is not running")?.to_owned())
    }

    /// Rolls a worker back to the version before, as an operator does if the new one does not start.
    pub(crate) fn roll_back(&self, worker: &str) -> Result<()> {
        self.docker(&["service", "rollback", "--detach", &service_of(worker)])
            .map(drop)
    }

    /// Stops everything.
    pub(crate) fn finish(self) -> Result<()> {
        for service in &self.services {
            self.docker(&["service", "rm", service])?;
        }
        for service in &self.services {
            // Its container may not have ended yet.
            wait_for("end of the service", WAIT_LIMIT, || {
                Ok(self.docker(&["volume", "rm", service]).ok())
            })?;
        }
        self.site.finish()
    }

    fn docker(&self, args: &[&str]) -> Result<String> {
        let output = output_within(self.command().args(args), COMMAND_LIMIT)?;
        let why = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "docker {args:?}: {}", why.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Returns a `docker` command with a log-in of its own.
    fn command(&self) -> Command {
        let mut command = self.rig.docker.command();
        command.env("DOCKER_CONFIG", self.site.folder().join("docker-config"));
        command
    }
}

fn service_of(worker: &str) -> String {
    format!("ocluster-{worker}")
}
