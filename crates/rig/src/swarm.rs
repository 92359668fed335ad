//! An engine as the only node of a swarm.

use anyhow::Result;

use crate::cluster::free_port;
use crate::docker::Docker;
use crate::holder::{Holder, Name};

/// Swarms attach their services to a network of this name, and make it.
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
    /// When the engine refuses. There can be only one in a network, for the port 7946 of its gossip cannot be chosen.
    pub fn of(docker: &Docker) -> Result<Self> {
        let name = Name::new()?;
        let holder = Holder::start(&name)?;
        let program = docker.program().display().to_string();
        let undo = |args: &[&str]| {
            let engine = [&program, "--host", docker.host()];
            holder.undo(&[&engine, args].concat())
        };
        // The last one told is the first one run.
        undo(&["network", "rm", GATEWAY_NETWORK])?;
        undo(&["swarm", "leave", "--force"])?;
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
