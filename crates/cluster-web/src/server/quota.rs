//! How much of something all addresses may have together, and each of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How many bits of an address of IPv6 name one network, whose owner has all addresses in it.
const NETWORK_BITS: u32 = 64;

/// How much of something all addresses may have together, and each of them.
#[derive(Clone)]
pub(super) struct Quota(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// What each address has that has anything.
    of: HashMap<IpAddr, usize>,
}

/// One of what there is, until it is dropped.
pub(super) struct Place {
    quota: Quota,
    address: Option<IpAddr>,
}

/// There is no place: an address has as many as it may, or all of them together have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Quota {
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self(Arc::new(Shared {
            most,
            most_of_one,
            taken: Mutex::default(),
        }))
    }

    /// Takes a place for an address. `None` is for what counts only among all.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<Place, Full> {
        let address = address.map(network);
        let mut taken = self.taken();
        let before = address.and_then(|address| taken.of.get(&address));
        let before = before.copied().unwrap_or(0);
        if taken.all >= self.0.most || before >= self.0.most_of_one {
            return Err(Full);
        }
        taken.all += 1;
        if let Some(address) = address {
            taken.of.insert(address, before + 1);
        }
        Ok(Place {
            quota: self.clone(),
            address,
        })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Nothing that holds it panics.
        let taken = self.0.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        taken.all = taken.all.saturating_sub(1);
        let Some(address) = self.address else { return };
        match taken.of.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.of.remove(&address);
            }
        }
    }
}

/// Returns what counts as one address: an address of IPv4, or a network of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - NETWORK_BITS);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(quota: &Quota, address: &str) -> Option<Place> {
        let address = (!address.is_empty()).then(|| address.parse().unwrap());
        quota.take(address).ok()
    }

    #[test]
    fn an_address_gets_a_part_of_what_there_is() {
        let quota = Quota::new(5, 2);
        let first = take(&quota, "10.0.0.1");
        let second = take(&quota, "::ffff:10.0.0.1");
        assert!(first.is_some() && second.is_some());
        assert!(take(&quota, "10.0.0.1").is_none());
        // What is given back can be taken again.
        drop(second);
        let second = take(&quota, "10.0.0.1");
        assert!(second.is_some() && take(&quota, "10.0.0.1").is_none());
        // A network of IPv6 is one address.
        let others = ["2001:db8::1", "2001:db8::2"].map(|address| take(&quota, address));
        assert!(others.iter().all(Option::is_some));
        assert!(take(&quota, "2001:db8::3").is_none());
        // A proxy has no limit of its own, but there is no more than there is.
        let proxy = take(&quota, "");
        assert!(proxy.is_some() && take(&quota, "").is_none());
        assert!(take(&quota, "10.0.0.2").is_none());
        drop((first, second, others, proxy));
        let taken = quota.taken();
        assert!(taken.all == 0 && taken.of.is_empty());
    }
}
