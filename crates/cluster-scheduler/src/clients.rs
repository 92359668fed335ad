//! Who may submit: the stored clients, found by the digest of their secret or by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pool::ClientId;
use sha2::{Digest as _, Sha256};
use visible::Shown;

use crate::db::{CLIENT_TYPE, SturdyRefRow};

/// The client in whose name all jobs of the shared endpoint (`submission.cap`) run.
///
/// It is always there, on no list, and cannot be added or removed. It has a rate like any other.
pub(crate) const SHARED: &str = "submission";

/// SHA-256 of a service id.
pub(crate) type Digest = [u8; 32];

/// Returns what a session has of the secret by which its client is reached: it changes with the secret, and says
/// nothing about it.
pub(crate) fn access_of(digest: &Digest) -> u64 {
    let again: Digest = Sha256::digest(digest).into();
    again
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

/// A service that is stored under a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoredService {
    /// A client's submission endpoint.
    Client(ClientId),
    /// Something that this program does not know how to serve.
    Unknown {
        /// Its type.
        kind: String,
    },
}

/// The stored clients.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_digest: HashMap<Digest, StoredService>,
    /// What each client is known by. Usually one digest; an edited database may hold more.
    by_name: BTreeMap<ClientId, BTreeSet<Digest>>,
}

impl Clients {
    pub(crate) fn new(saved: Vec<SturdyRefRow>) -> Self {
        let mut clients = Self::default();
        for SturdyRefRow { digest, kind, args } in saved {
            if kind != CLIENT_TYPE {
                clients
                    .by_digest
                    .insert(digest, StoredService::Unknown { kind });
                continue;
            }
            match ClientId::new(&args) {
                Ok(client) => clients.put(client, digest),
                Err(error) => {
                    tracing::warn!(
                        target: "scheduler",
                        "Ignoring the client \"{}\" in the database: {error}", Shown(&args)
                    );
                }
            }
        }
        clients
    }

    pub(crate) fn find(&self, digest: &Digest) -> Option<&StoredService> {
        self.by_digest.get(digest)
    }

    pub(crate) fn contains(&self, client: &ClientId) -> bool {
        self.by_name.contains_key(client)
    }

    /// Returns whether jobs may be submitted, and a rate set, in the name of `client`.
    pub(crate) fn may_submit(&self, client: &ClientId) -> bool {
        client.as_str() == SHARED || self.contains(client)
    }

    /// Returns whether a client is still reached by the secret that a session began with.
    pub(crate) fn is_reached_by(&self, client: &ClientId, access: u64) -> bool {
        let digests = self.by_name.get(client);
        // A client that a proxy names has no secret.
        digests.is_some_and(|digests| {
            access == 0 || digests.iter().any(|digest| access_of(digest) == access)
        })
    }

    /// Returns the names of all clients, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ClientId> {
        self.by_name.keys()
    }

    /// Makes `digest` another way to be `client`.
    pub(crate) fn put(&mut self, client: ClientId, digest: Digest) {
        self.by_digest
            .insert(digest, StoredService::Client(client.clone()));
        self.by_name.entry(client).or_default().insert(digest);
    }

    /// Removes a client; returns whether it was there.
    pub(crate) fn remove(&mut self, client: &ClientId) -> bool {
        let Some(digests) = self.by_name.remove(client) else {
            return false;
        };
        for digest in digests {
            self.by_digest.remove(&digest);
        }
        true
    }
}
