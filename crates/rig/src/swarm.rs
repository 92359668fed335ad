//! An engine as the only node of a swarm.

use anyhow::Result;

use crate::cluster::free_port;
use crate::docker::Docker;

/// Makes `docker`, an engine of our own, the manager and only node of a swarm that listens on loopback.
///
/// It stays one until it ends: an engine that leaves a swarm forgets the names of all its containers, those that have
/// nothing to do with the swarm too, and whoever looks one up then finds nobody.
///
/// # Errors
/// When the engine refuses. There can be only one in a network, for the port 7946 of its gossip cannot be chosen.
pub fn make_swarm(docker: &Docker) -> Result<()> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let init = ["swarm", "init", "--advertise-addr=127.0.0.1"];
    docker.run(&[&init[..], &["--listen-addr", &listen]].concat())?;
    Ok(())
}
