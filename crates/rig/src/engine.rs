//! A Docker engine: the one that is already running, or a new one.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::find_program;
use crate::docker::{self, Docker};
use crate::holder::{Holder, ProcessState};
use crate::name::Name;
use crate::network::Network;
use crate::wait::wait_for;

/// The time limit for an engine to start. It needs half a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A Docker engine to use for as long as this lives.
#[derive(Debug)]
pub struct DockerEngine {
    docker: Docker,
    is_own: bool,
    holder: Holder,
}

impl DockerEngine {
    /// Returns the engine that answers at DOCKER_HOST or the default socket, or `None` when there is none.
    ///
    /// # Errors
    /// When there is one, but no client for it.
    pub fn running() -> Result<Option<Self>> {
        let Some(host) = docker::default_host_that_answers() else {
            return Ok(None);
        };
        let holder = Holder::start(&Name::new()?)?;
        let docker = Docker::new(&host, holder.folder())?;
        Ok(Some(Self {
            docker,
            is_own: false,
            holder,
        }))
    }

    /// Starts an empty engine, and removes all of it at the end.
    ///
    /// # Errors
    /// When not root, when `dockerd` is not installed, or when it does not start; then with the end of its log.
    pub fn own() -> Result<Self> {
        Self::own_named(&Name::new()?)
    }

    /// Like [`own`](Self::own), with this name for its directory and cgroup.
    ///
    /// # Errors
    /// As for `own`.
    pub fn own_named(name: &Name) -> Result<Self> {
        ensure!(
            crate::is_root(),
            "cannot start a Docker engine: only root can"
        );
        let dockerd = find_program("dockerd").context("cannot find dockerd: install docker.io")?;
        let holder = Holder::start(name)?;
        holder.remove_cgroup(name)?;
        let folder = holder.folder();
        std::fs::write(folder.join("daemon.json"), "{}")?;
        let socket = folder.join("docker.sock");
        let docker = Docker::new(&format!("unix://{}", socket.display()), folder)?;
        let mut engine = Self {
            docker,
            is_own: true,
            holder,
        };
        engine.start(Command::new(dockerd).args(arguments(engine.holder.folder(), name)))?;
        Ok(engine)
    }

    /// Starts the engine, in a network of its own: another engine or a firewall on this machine may have taken the
    /// usual addresses and have rules that drop what bridges forward.
    fn start(&mut self, dockerd: &Command) -> Result<()> {
        let process = self.holder.run_offline(dockerd, "dockerd.log")?;
        self.docker.network = Some(Network::of(process));
        wait_for("answer from our Docker engine", START_LIMIT, || {
            if let ProcessState::Ended(code) = self.holder.state(process)? {
                bail!(
                    "the Docker engine ended with code {code}: {}",
                    self.log_tail()
                );
            }
            let listens = self.holder.folder().join("docker.sock").exists();
            Ok((listens && self.docker.answers()).then_some(()))
        })
    }

    /// Connects the engine's own network, which containers have with `--network=host`, to other machines, if the
    /// program for that is installed.
    ///
    /// # Errors
    /// When that program does not start.
    pub fn connect_outside(&self) -> Result<()> {
        let Some(network) = &self.docker.network else {
            return Ok(());
        };
        network.connect_outside(&self.holder)
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.holder.log("dockerd.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Returns whether it was started here. Only then may a test prune it, fill it, or stop its containers.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Returns what cleans up after this engine, for resources that must be removed with it.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Stops the engine if it was started here. Dropping does the same, but can only print errors.
    ///
    /// # Errors
    /// When something could not be removed, with what that is.
    pub fn finish(self) -> Result<()> {
        self.holder.finish()
    }
}

impl Deref for DockerEngine {
    type Target = Docker;

    fn deref(&self) -> &Docker {
        &self.docker
    }
}

/// Returns the arguments that keep an engine inside `folder` and the cgroup `name`. It creates the usual bridge in its
/// network.
fn arguments(folder: &Path, name: &Name) -> Vec<String> {
    let folder = folder.display();
    vec![
        // Instead of the machine's settings.
        format!("--config-file={folder}/daemon.json"),
        format!("--data-root={folder}/data"),
        format!("--exec-root={folder}/exec"),
        format!("--pidfile={folder}/dockerd.pid"),
        format!("--host=unix://{folder}/docker.sock"),
        "--group=root".to_owned(),
        // For `docker build --squash`.
        "--experimental".to_owned(),
        "--iptables=false".to_owned(),
        "--ip6tables=false".to_owned(),
        "--ip-forward=false".to_owned(),
        "--ip-masq=false".to_owned(),
        // Works with and without systemd, under version 1 and 2.
        "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
        format!("--cgroup-parent=/{name}"),
    ]
}
