//! Peers that have not named any service: how many there may be, and for how long.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Link;
use crate::close_reason::CloseReason;

/// How long a peer is safe from eviction.
///
/// This is far longer than a handshake and a Bootstrap take, so that a farm whose workers all reconnect at once loses
/// none of them.
const EVICTION_AGE: Duration = Duration::from_secs(1);

/// Where a peer connects from; `None` for a unix socket. An IPv6 address counts as its /64 network, as each host has
/// one.
pub(crate) type Host = Option<IpAddr>;

fn network(host: Host) -> Host {
    match host {
        Some(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            Some(IpAddr::V6(network.into()))
        }
        other => other,
    }
}

/// All unauthenticated peers of a listener. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct UnauthenticatedPeers(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// In the order in which they connected.
    all: RefCell<BTreeMap<u64, UnauthenticatedPeer>>,
    hosts: RefCell<HashMap<Host, usize>>,
    next: Cell<u64>,
    /// Notified when there is one less, or one socket less.
    freed: Notify,
}

struct UnauthenticatedPeer {
    host: Host,
    since: Instant,
    /// Ends the handshake.
    evicted: Rc<Notify>,
    /// The connection after the handshake.
    link: Weak<Link>,
}

/// Counts one unauthenticated peer. Drop it when the peer has named a service, or is gone.
pub(crate) struct UnauthenticatedGuard {
    peers: UnauthenticatedPeers,
    number: u64,
    evicted: Rc<Notify>,
}

impl Drop for UnauthenticatedGuard {
    fn drop(&mut self) {
        self.peers.remove(self.number);
        self.peers.notify_freed();
    }
}

impl UnauthenticatedGuard {
    /// Waits until the peer is evicted.
    pub(crate) fn evicted(&self) -> impl Future<Output = ()> + use<> {
        let evicted = self.evicted.clone();
        async move { evicted.notified().await }
    }

    /// Sets the connection to close when the peer is evicted.
    pub(crate) fn set_link(&self, link: &Rc<Link>) {
        if let Some(peer) = self.peers.0.all.borrow_mut().get_mut(&self.number) {
            peer.link = Rc::downgrade(link);
        } else {
            link.close(CloseReason::Evicted);
        }
    }
}

impl UnauthenticatedPeers {
    pub(crate) fn count(&self) -> usize {
        self.0.all.borrow().len()
    }

    /// Adds a peer. Returns `None` if its host has `limit` of them, none of which is old enough to be evicted.
    pub(crate) fn add(&self, host: Host, limit: usize) -> Option<UnauthenticatedGuard> {
        let host = network(host);
        let count = self.0.hosts.borrow().get(&host).copied().unwrap_or(0);
        if count >= limit && !self.evict_oldest_of(|peer| peer.host == host) {
            return None;
        }
        let evicted = Rc::<Notify>::default();
        let number = self.0.next.replace(self.0.next.get() + 1);
        let peer = UnauthenticatedPeer {
            host,
            since: Instant::now(),
            evicted: evicted.clone(),
            link: Weak::new(),
        };
        self.0.all.borrow_mut().insert(number, peer);
        *self.0.hosts.borrow_mut().entry(host).or_default() += 1;
        Some(UnauthenticatedGuard {
            peers: self.clone(),
            number,
            evicted,
        })
    }

    /// Evicts the oldest peer, if it is old enough. Returns whether it did.
    pub(crate) fn evict_oldest(&self) -> bool {
        self.evict_oldest_of(|_| true)
    }

    /// Evicts all peers that have been unauthenticated for `timeout`.
    pub(crate) fn expire(&self, timeout: Duration) {
        loop {
            let all = self.0.all.borrow();
            let Some((number, peer)) = all.first_key_value() else {
                return;
            };
            if peer.since.elapsed() < timeout {
                return;
            }
            let number = *number;
            drop(all);
            self.evict(number, &CloseReason::Unauthenticated(timeout));
        }
    }

    /// Waits until there is one less, or [`notify_freed`](Self::notify_freed) is called.
    pub(crate) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// Wakes the task that waits in [`freed`](Self::freed).
    pub(crate) fn notify_freed(&self) {
        self.0.freed.notify_one();
    }

    fn evict_oldest_of(&self, condition: impl Fn(&UnauthenticatedPeer) -> bool) -> bool {
        let all = self.0.all.borrow();
        let oldest = all.iter().find(|(_, peer)| condition(peer));
        let oldest = oldest.filter(|(_, peer)| peer.since.elapsed() >= EVICTION_AGE);
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };
        drop(all);
        self.evict(number, &CloseReason::Evicted);
        true
    }

    fn evict(&self, number: u64, reason: &CloseReason) {
        if let Some(peer) = self.remove(number) {
            peer.evicted.notify_one();
            if let Some(link) = peer.link.upgrade() {
                link.close(reason.clone());
            }
        }
    }

    fn remove(&self, number: u64) -> Option<UnauthenticatedPeer> {
        let peer = self.0.all.borrow_mut().remove(&number)?;
        let mut hosts = self.0.hosts.borrow_mut();
        if let Some(count) = hosts.get_mut(&peer.host) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(&peer.host);
            }
        }
        Some(peer)
    }
}
