//! What each process of the cluster can do: send, wait, choose, and report to the oracle.

use std::time::Duration;

use pool::Time;

use super::Setup;
use super::database::Database;
use super::events::{Event, Events};
use super::fault::ClusterFault;
use super::logs::LogStore;
use super::message::Message;
use super::network::{ConnectionId, Network, Side};
use super::oracle::Oracle;
use crate::simulate::random::Random;

/// The surroundings of a process.
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) events: &'a mut Events,
    pub(crate) network: &'a mut Network,
    pub(crate) random: &'a mut Random,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) setup: Setup,
    pub(crate) database: &'a mut Database,
    /// The logs that are whole, where all schedulers find them.
    pub(crate) store: &'a mut LogStore,
    pub(crate) fault: Option<ClusterFault>,
}

impl Context<'_> {
    pub(crate) fn send(&mut self, connection: ConnectionId, to: Side, message: Message) {
        self.network.send(
            self.events,
            self.random,
            self.now,
            (connection, to),
            message,
        );
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.events.at(self.now + delay, event);
    }

    pub(crate) fn has_standbys(&self) -> bool {
        self.setup == Setup::Standbys
    }

    pub(crate) fn planted(&self, fault: ClusterFault) -> bool {
        self.fault == Some(fault)
    }
}
