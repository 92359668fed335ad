//! An engine as the only node of a swarm.

use anyhow::{Context as _, Result};

use crate::cluster::free_port;
use crate::docker::Docker;
use crate::holder::{Holder, Name};

/// Swarms attach their services to a network of this name, and make it if there is none.
const GATEWAY_NETWORK: &str = "docker_gwbridge";

/// An engine that is a swarm for as long as this lives. Its services end with it.
#[derive(Debug)]
pub struct Swarm {
    holder: Holder,
}

impl Swarm {
    /// Makes `docker` the manager, and only node, of a swarm that listens on loopback.
    ///
    /// # Errors
    /// When the engine refuses. There can be only one on a machine, for the port 7946 of its gossip cannot be chosen.
    pub fn of(docker: &Docker) -> Result<Self> {
        let name = Name::new()?;
        let holder = Holder::start(&name)?;
        // Names of interfaces have at most 15 characters, and this one 14.
        let bridge = format!("{name}g");
        let program = docker.program().display().to_string();
        let undo = |args: &[&str]| {
            let engine = [&program, "--host", docker.host()];
            holder.undo(&[&engine, args].concat())
        };
        // The last one told is the first one run.
        holder.undo(&[
            "sh",
            "-c",
            &format!("! ip link show {bridge} >/dev/null 2>&1 || ip link del {bridge}"),
        ])?;
        undo(&["network", "rm", GATEWAY_NETWORK])?;
        undo(&["swarm", "leave", "--force"])?;
        // Made before the swarm does, so that its interface has a name that nobody else uses.
        let option = format!("com.docker.network.bridge.name={bridge}");
        docker
            .run(&["network", "create", "--opt", &option, GATEWAY_NETWORK])
            .context("cannot make the network of the swarm's services")?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        docker.run(&[
            "swarm",
            "init",
            "--advertise-addr=127.0.0.1",
            "--listen-addr",
            &listen,
        ])?;
        Ok(Self { holder })
    }

    /// Ends the swarm and its services, and says what is left. Dropping does the same, but can only print.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(self) -> Result<()> {
        self.holder.finish()
    }
}
