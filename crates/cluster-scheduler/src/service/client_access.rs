//! What a client may do, over one connection.

use std::rc::Rc;

use cluster_api::{Refusal, RpcError};
use pool::ClientId;
use vat::{Peer, ServiceId};

use crate::cluster::Cluster;

/// A client's access to the cluster.
pub(super) struct ClientAccess {
    pub(super) cluster: Rc<Cluster>,
    pub(super) client: ClientId,
    /// The secret by which its very endpoint is reached.
    pub(super) id: ServiceId,
    pub(super) kind: AccessKind,
    /// Whose connection it is.
    pub(super) peer: Peer,
}

/// Who has the secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessKind {
    /// One client, and it is revoked when that client is removed.
    Personal,
    /// All clients with `submission.cap`.
    Shared,
}

impl ClientAccess {
    /// Fails if the client was removed.
    pub(super) fn check(&self) -> Result<(), RpcError> {
        match self.is_revoked() {
            true => Err(Refusal::revoked()),
            false => Ok(()),
        }
    }

    /// Returns whether the client was removed, perhaps to be added again with another secret.
    pub(super) fn is_revoked(&self) -> bool {
        match self.kind {
            AccessKind::Personal => {
                self.cluster.client_of(&self.id.digest()).as_ref() != Some(&self.client)
            }
            AccessKind::Shared => false,
        }
    }
}
