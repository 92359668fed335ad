//! A Docker engine: the one that is running, or one of our own.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::find_program;
use crate::docker::{self, Docker};
use crate::holder::{Holder, Name, ProcessState};
use crate::network::Network;
use crate::wait::wait_for;

/// How long an engine may take to answer. It needs half a second on an idle machine.
const LIMIT_TO_START: Duration = Duration::from_secs(60);

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
    /// When there is one, but nothing to reach it with.
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

    /// Starts an engine with nothing in it, of which nothing will be left.
    ///
    /// # Errors
    /// When not root, when `dockerd` is not installed, or when it does not come up; then with the end of its log.
    pub fn own() -> Result<Self> {
        Self::own_named(&Name::new()?)
    }

    /// As [`own`](Self::own), with a name of the caller's choice for its directory and cgroup.
    ///
    /// # Errors
    /// As for `own`.
    pub fn own_named(name: &Name) -> Result<Self> {
        ensure!(crate::is_root(), "only root can start a Docker engine");
        let dockerd = find_program("dockerd").context("dockerd is not installed (docker.io)")?;
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

    /// Starts the engine, in a network of its own: another engine on the machine, or whoever looks after its
    /// firewall, has rules that drop what bridges forward, and has taken the usual addresses.
    fn start(&mut self, dockerd: &Command) -> Result<()> {
        let process = self.holder.run_offline(dockerd, "dockerd.log")?;
        self.docker.network = Some(Network::of(process));
        wait_for("answer from our Docker engine", LIMIT_TO_START, || {
            if let ProcessState::Ended(code) = self.holder.state(process)? {
                bail!(
                    "the Docker engine ended with code {code}: {}",
                    self.last_words()
                );
            }
            let listens = self.holder.folder().join("docker.sock").exists();
            Ok((listens && self.docker.answers()).then_some(()))
        })
    }

    /// Lets containers with the engine's own network, `--network=host`, reach what this machine reaches, if the
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

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.holder.log("dockerd.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Returns whether we started it. Only then may a test prune it, fill it, or stop all that it runs.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Returns what tidies up behind this engine, for whoever adds something that must go with it.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Stops the engine if it is ours, and says what could not be removed. Dropping does the same, but can only print.
    ///
    /// # Errors
    /// When something is left.
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

/// Returns the arguments that keep an engine inside `folder` and the cgroup `name`. In its network it makes the usual
/// bridge.
fn arguments(folder: &Path, name: &Name) -> Vec<String> {
    let folder = folder.display();
    vec![
        // Not the machine's settings.
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
