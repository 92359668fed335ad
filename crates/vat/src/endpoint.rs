//! Endpoints: where exactly a vat is dialled, once its addresses are resolved.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use crate::{Address, ConnectError};

/// One place to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A place, and the address that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As it was configured: a name, perhaps.
    pub(crate) address: Address,
    pub(crate) place: Place,
    /// Whether the address has further places, so that only the IP address tells them apart.
    pub(crate) is_one_of_several: bool,
}

impl Endpoint {
    /// Returns all endpoints of an address, in the order of the resolver.
    ///
    /// # Errors
    ///
    /// When the name is unknown, or the resolver does not answer within `limit`.
    pub(crate) async fn resolve(
        address: &Address,
        limit: Duration,
    ) -> Result<Vec<Self>, ConnectError> {
        let places = match address {
            Address::Unix(path) => vec![Place::Unix(path.clone())],
            Address::Tcp { host, port } => lookup(host, *port, limit).await?,
        };
        let is_one_of_several = places.len() > 1;
        let endpoint = |place| Self {
            address: address.clone(),
            place,
            is_one_of_several,
        };
        Ok(places.into_iter().map(endpoint).collect())
    }

    /// Returns whether `other` is at the same address, in another IP version. It is the same machine then.
    pub(crate) fn is_other_version_of(&self, other: &Self) -> bool {
        self.address == other.address
            && match (&self.place, &other.place) {
                (Place::Tcp(one), Place::Tcp(other)) => one.is_ipv4() != other.is_ipv4(),
                (Place::Unix(_), _) | (_, Place::Unix(_)) => false,
            }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        match &self.place {
            Place::Tcp(place) if self.is_one_of_several => write!(f, " ({})", place.ip()),
            Place::Tcp(_) | Place::Unix(_) => Ok(()),
        }
    }
}

async fn lookup(host: &str, port: u16, limit: Duration) -> Result<Vec<Place>, ConnectError> {
    let unknown = |source| ConnectError::UnknownHost {
        host: host.to_owned(),
        source,
    };
    let found = timeout(limit, tokio::net::lookup_host((host, port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let mut places = Vec::new();
    for place in found.map_err(unknown)?.map(Place::Tcp) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    match places.is_empty() {
        true => Err(unknown(io::ErrorKind::NotFound.into())),
        false => Ok(places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str, place: &str, is_one_of_several: bool) -> Endpoint {
        Endpoint {
            address: address.parse().unwrap(),
            place: Place::Tcp(place.parse().unwrap()),
            is_one_of_several,
        }
    }

    #[test]
    fn the_ip_address_shows_only_where_it_tells_endpoints_apart() {
        let shown = [
            endpoint("tcp:10.0.0.1:9000", "10.0.0.1:9000", false),
            endpoint("tcp:build:9000", "10.0.0.1:9000", false),
            endpoint("tcp:build:9000", "[fd00::1]:9000", true),
        ]
        .map(|endpoint| endpoint.to_string());
        assert_eq!(
            shown,
            [
                "tcp:10.0.0.1:9000",
                "tcp:build:9000",
                "tcp:build:9000 (fd00::1)"
            ]
        );
    }

    #[test]
    fn two_ip_versions_of_one_address_are_one_machine() {
        let four = endpoint("tcp:build:9000", "10.0.0.1:9000", true);
        let six = endpoint("tcp:build:9000", "[fd00::1]:9000", true);
        let second = endpoint("tcp:build:9000", "10.0.0.2:9000", true);
        let elsewhere = endpoint("tcp:other:9000", "[fd00::1]:9000", true);
        assert!(four.is_other_version_of(&six) && six.is_other_version_of(&four));
        assert!(!four.is_other_version_of(&second) && !four.is_other_version_of(&four));
        assert!(!four.is_other_version_of(&elsewhere));
    }

    #[tokio::test]
    async fn a_name_that_no_resolver_knows_is_an_error() {
        let address = "tcp:nosuch.invalid:1".parse().unwrap();
        let resolved = Endpoint::resolve(&address, Duration::from_secs(60)).await;
        assert!(matches!(resolved, Err(ConnectError::UnknownHost { .. })));
    }
}
