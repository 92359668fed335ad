//! Connections: ordered, with delays; they close, or fall silent without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pool::Time;

use super::database::Database;
use super::events::{Event, Events, Party};
use super::message::Message;
use crate::simulate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64);

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Scheduler,
    /// The worker or client that dialled.
    Dialler,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Scheduler => Self::Dialler,
            Self::Dialler => Self::Scheduler,
        }
    }
}

#[derive(Debug)]
struct Connection {
    dialler: Party,
    /// The scheduler that accepted it.
    listener: usize,
    /// Nothing arrives any more.
    is_cut: bool,
    scheduler: SideState,
    dialler_side: SideState,
}

#[derive(Debug)]
struct SideState {
    is_open: bool,
    /// When the latest message to this side arrives: later ones arrive after it.
    arrival: Time,
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    last: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The schedulers that no peer reaches.
    pub(crate) unreachable: BTreeSet<usize>,
}

impl Network {
    /// A connection is made.
    pub(crate) fn connect(&mut self, now: Time, dialler: Party, listener: usize) -> ConnectionId {
        self.last += 1;
        let id = ConnectionId(self.last);
        let side = || SideState {
            is_open: true,
            arrival: now,
        };
        let connection = Connection {
            dialler,
            listener,
            is_cut: false,
            scheduler: side(),
            dialler_side: side(),
        };
        self.connections.insert(id, connection);
        id
    }

    pub(crate) fn dialler(&self, id: ConnectionId) -> Option<Party> {
        self.connections
            .get(&id)
            .map(|connection| connection.dialler)
    }

    /// Whether a standby can connect to the leader, as the database names it.
    pub(crate) fn reaches_leader(&self, standby: usize, database: &Database) -> bool {
        let is_cut_off = |which| self.unreachable.contains(&which);
        !is_cut_off(standby) && !database.holder().is_some_and(is_cut_off)
    }

    /// Returns the scheduler at the other end.
    pub(crate) fn listener(&self, id: ConnectionId) -> Option<usize> {
        self.connections
            .get(&id)
            .map(|connection| connection.listener)
    }

    /// Whether a side has not closed it, and does not know that the other one has.
    pub(crate) fn is_open(&self, id: ConnectionId, side: Side) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|connection| connection.side(side).is_open)
    }

    /// Whether nothing arrives over it any more.
    pub(crate) fn is_cut(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|connection| connection.is_cut)
    }

    /// Whether something that is on its way to a side arrives.
    pub(crate) fn arrives(&self, id: ConnectionId, to: Side) -> bool {
        self.connections
            .get(&id)
            .is_some_and(|connection| !connection.is_cut && connection.side(to).is_open)
    }

    pub(crate) fn send(
        &mut self,
        events: &mut Events,
        random: &mut Random,
        now: Time,
        (id, to): (ConnectionId, Side),
        message: Message,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.is_cut || !connection.side(to.other()).is_open {
            return;
        }
        let arrival = connection.next_arrival(random, now, to);
        events.at(
            arrival,
            Event::Deliver {
                connection: id,
                to,
                message,
            },
        );
    }

    /// A side closes the connection, or its process ends. The other side learns it after what is on its way to it; or
    /// much later, if no word of it arrives.
    pub(crate) fn close(
        &mut self,
        events: &mut Events,
        random: &mut Random,
        now: Time,
        (id, by): (ConnectionId, Side),
        silently: bool,
    ) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.side_mut(by).is_open = false;
        if silently || connection.is_cut {
            connection.is_cut = true;
            events.at(now + keep_alive(random), ended(id, by.other(), true));
        } else {
            let arrival = connection.next_arrival(random, now, by.other());
            events.at(arrival, ended(id, by.other(), false));
        }
    }

    /// The connections of a party, open on its side.
    pub(crate) fn of(&self, party: Party) -> Vec<(ConnectionId, Side)> {
        let side = match party {
            Party::Scheduler(_) => Side::Scheduler,
            Party::Worker(_) | Party::Client(_) => Side::Dialler,
        };
        self.connections
            .iter()
            .filter(|(_, connection)| match party {
                Party::Scheduler(which) => connection.listener == which,
                Party::Worker(_) | Party::Client(_) => connection.dialler == party,
            })
            .filter(|(_, connection)| connection.side(side).is_open)
            .map(|(id, _)| (*id, side))
            .collect()
    }

    /// The connections of a party fall silent: each side learns it when it misses the other's signs of life.
    pub(crate) fn cut(&mut self, events: &mut Events, random: &mut Random, now: Time, of: Party) {
        for (id, _) in self.of(of) {
            if let Some(connection) = self.connections.get_mut(&id)
                && !connection.is_cut
            {
                connection.is_cut = true;
                events.at(now + keep_alive(random), ended(id, Side::Scheduler, true));
                events.at(now + keep_alive(random), ended(id, Side::Dialler, true));
            }
        }
    }

    /// A side has learned that the connection has ended. Returns whether it was open for it until now.
    pub(crate) fn learned(&mut self, id: ConnectionId, side: Side) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        let was_open = std::mem::take(&mut connection.side_mut(side).is_open);
        if !connection.side(side.other()).is_open {
            self.connections.remove(&id);
        }
        was_open
    }
}

impl Connection {
    fn side(&self, side: Side) -> &SideState {
        match side {
            Side::Scheduler => &self.scheduler,
            Side::Dialler => &self.dialler_side,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Scheduler => &mut self.scheduler,
            Side::Dialler => &mut self.dialler_side,
        }
    }

    fn next_arrival(&mut self, random: &mut Random, now: Time, to: Side) -> Time {
        let delay = random.pick(&[1, 1, 2, 5, 30, 400]);
        let side = self.side_mut(to);
        side.arrival = side.arrival.max(now + Duration::from_millis(delay));
        side.arrival
    }
}

fn ended(connection: ConnectionId, seen_by: Side, silently: bool) -> Event {
    Event::Ended {
        connection,
        seen_by,
        silently,
    }
}

/// How long it takes a side to miss the other's signs of life.
fn keep_alive(random: &mut Random) -> Duration {
    Duration::from_secs(random.pick(&[20, 35, 60, 90]))
}
