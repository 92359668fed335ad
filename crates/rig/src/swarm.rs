//! An engine as the only node of a swarm.

use anyhow::Result;

use crate::cluster::free_port;
use crate::docker::Docker;

/// Makes `docker`, an engine of our own, the manager and only node of a swarm that listens on loopback.
///
/// It does not leave the swarm before it ends: an engine that leaves one forgets the names of all its containers, even
/// those outside of the swarm, so that they cannot be looked up any more.
///
/// # Errors
/// When the engine refuses. There can be only one swarm in a network, because its gossip port is always 7946.
pub fn make_swarm(docker: &Docker) -> Result<()> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let init = ["swarm", "init", "--advertise-addr=127.0.0.1"];
    docker.run(&[&init[..], &["--listen-addr", &listen]].concat())?;
    Ok(())
}
