//! Peers that have not named any service: how many there may be, and for how long.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Link;
use crate::ending::Ending;

/// How long a stranger is left alone: far longer than it takes to shake hands and to name a service, so that a farm whose
/// workers all come back at once loses none of them.
const GRACE: Duration = Duration::from_secs(1);

/// Where a peer comes from; `None` for a unix socket. Whoever has an IPv6 address has a network of them.
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

/// All strangers of a listener. Clones are the same ones.
#[derive(Clone, Default)]
pub(crate) struct Strangers(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// In the order in which they came.
    all: RefCell<BTreeMap<u64, Stranger>>,
    hosts: RefCell<HashMap<Host, usize>>,
    next: Cell<u64>,
    /// Told when one has gone, or is none any more.
    freed: Notify,
}

struct Stranger {
    host: Host,
    since: Instant,
    /// Ends the handshake.
    evicted: Rc<Notify>,
    /// The connection after the handshake.
    link: Weak<Link>,
}

/// One stranger's place; dropping it means that the peer is none any more.
pub(crate) struct Place {
    strangers: Strangers,
    number: u64,
    evicted: Rc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.strangers.remove(self.number);
        self.strangers.0.freed.notify_one();
    }
}

impl Place {
    /// Waits until somebody else needs the place.
    pub(crate) fn evicted(&self) -> impl Future<Output = ()> + use<> {
        let evicted = self.evicted.clone();
        async move { evicted.notified().await }
    }

    /// Says which connection it has become.
    pub(crate) fn connected(&self, link: &Rc<Link>) {
        if let Some(stranger) = self.strangers.0.all.borrow_mut().get_mut(&self.number) {
            stranger.link = Rc::downgrade(link);
        } else {
            link.end(Ending::Evicted);
        }
    }
}

impl Strangers {
    pub(crate) fn count(&self) -> usize {
        self.0.all.borrow().len()
    }

    /// Takes in a peer; `None` if there are `most` from its host already, none of which has been there for long.
    pub(crate) fn enter(&self, host: Host, most: usize) -> Option<Place> {
        let host = network(host);
        let there = self.0.hosts.borrow().get(&host).copied().unwrap_or(0);
        if there >= most && !self.evict_oldest(|stranger| stranger.host == host) {
            return None;
        }
        let evicted = Rc::<Notify>::default();
        let number = self.0.next.replace(self.0.next.get() + 1);
        let stranger = Stranger {
            host,
            since: Instant::now(),
            evicted: evicted.clone(),
            link: Weak::new(),
        };
        self.0.all.borrow_mut().insert(number, stranger);
        *self.0.hosts.borrow_mut().entry(host).or_default() += 1;
        Some(Place {
            strangers: self.clone(),
            number,
            evicted,
        })
    }

    /// Gives the place of the oldest one to others, if it has had it for long enough.
    pub(crate) fn make_room(&self) -> bool {
        self.evict_oldest(|_| true)
    }

    /// Ends all that have been there for `most`.
    pub(crate) fn expire(&self, most: Duration) {
        loop {
            let all = self.0.all.borrow();
            let Some((number, stranger)) = all.first_key_value() else {
                return;
            };
            if stranger.since.elapsed() < most {
                return;
            }
            let number = *number;
            drop(all);
            self.evict(number, &Ending::NoService(most));
        }
    }

    /// Waits until there is one less.
    pub(crate) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// Says that a socket was closed.
    pub(crate) fn notify(&self) {
        self.0.freed.notify_one();
    }

    fn evict_oldest(&self, condition: impl Fn(&Stranger) -> bool) -> bool {
        let all = self.0.all.borrow();
        let oldest = all.iter().find(|(_, stranger)| condition(stranger));
        let oldest = oldest.filter(|(_, stranger)| stranger.since.elapsed() >= GRACE);
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };
        drop(all);
        self.evict(number, &Ending::Evicted);
        true
    }

    fn evict(&self, number: u64, ending: &Ending) {
        if let Some(stranger) = self.remove(number) {
            stranger.evicted.notify_one();
            if let Some(link) = stranger.link.upgrade() {
                link.end(ending.clone());
            }
        }
    }

    fn remove(&self, number: u64) -> Option<Stranger> {
        let stranger = self.0.all.borrow_mut().remove(&number)?;
        let mut hosts = self.0.hosts.borrow_mut();
        if let Some(count) = hosts.get_mut(&stranger.host) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(&stranger.host);
            }
        }
        Some(stranger)
    }
}
