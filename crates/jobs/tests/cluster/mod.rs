//! A whole cluster in one thread and in virtual time: a scheduler with its pool and its disk, workers with theirs,
//! clients, and the network between them.
//!
//! Processes are killed at any step, machines crash, disks refuse, connections close or fall silent, messages take
//! their time. One seed is one history. What is real: the jobs, the pool. What is modelled: everything that carries
//! their effects out, by the rules that the scheduler's and the worker's code follow.

mod client;
mod database;
mod events;
mod fault;
mod logs;
mod message;
mod network;
mod oracle;
mod process;
mod scheduler;
mod worker;
mod world;

pub(crate) use fault::ClusterFault;
use world::World;

use crate::simulate::Counts;

/// How a cluster's scheduler survives the loss of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// It does not: there is one, with everything on its disk.
    Alone,
    /// There are several, with one database and one store of logs. One of them leads.
    Standbys,
}

/// Lives through the history of a seed. Returns how often each thing happened.
///
/// # Errors
///
/// The promise that is broken, with the latest events.
pub(crate) fn live(seed: u64, setup: Setup, fault: Option<ClusterFault>) -> Result<Counts, String> {
    let first = World::new(seed, setup, fault).live();
    // To remember events takes longer than to live through them: only for those who need them.
    first.or_else(|_| World::new(seed, setup, fault).remembering().live())
}
