//! How services are reached from outside: by the secret id in a sturdy ref.
//!
//! Ids are looked up by their digest, so neither the table nor the time a lookup takes gives one away.
//! A client that is removed is refused from that moment on, whoever may still hold its object.

use std::collections::HashMap;
use std::rc::Rc;

use capnp::capability::Client;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use pool::ClientId;
use vat::{Identity, Peer, Restore, RestoreError, ServiceId};

use super::admin::AdminService;
use super::registration::RegistrationService;
use super::submission::SubmissionService;
use crate::clients::{Digest, OnFile, SHARED};
use crate::cluster::Cluster;
use crate::reactor::Reactor;

/// The services, by the digests of their ids.
pub(crate) struct Services {
    cluster: Rc<Cluster>,
    /// Those whose ids are derived from the vat's key, and never change.
    derived: HashMap<Digest, Derived>,
}

enum Derived {
    Admin,
    Registration(Rc<Reactor>),
    SharedSubmission(ClientId),
}

impl Services {
    pub(crate) fn new(cluster: Rc<Cluster>, identity: &Identity) -> Self {
        let mut derived = HashMap::new();
        derived.insert(identity.derive("admin").digest(), Derived::Admin);
        if let Ok(shared) = ClientId::new(SHARED) {
            derived.insert(
                identity.derive(SHARED).digest(),
                Derived::SharedSubmission(shared),
            );
        }
        for (name, reactor) in cluster.pools() {
            let id = identity.derive(&format!("pool-{name}"));
            derived.insert(id.digest(), Derived::Registration(Rc::clone(reactor)));
        }
        Self { cluster, derived }
    }

    fn find(&self, id: &ServiceId, peer: &Peer) -> Result<Client, RestoreError> {
        let digest = id.digest();
        let cluster = || Rc::clone(&self.cluster);
        if let Some(derived) = self.derived.get(&digest) {
            return Ok(match derived {
                Derived::Admin => AdminService::serve(cluster()).into_client(),
                Derived::Registration(reactor) => {
                    RegistrationService::serve(cluster(), Rc::clone(reactor), peer.clone())
                        .into_client()
                }
                Derived::SharedSubmission(client) => {
                    SubmissionService::shared(cluster(), client.clone(), id.clone()).into_client()
                }
            });
        }
        match self.cluster.clients().find(&digest) {
            Some(OnFile::Client(client)) => {
                Ok(
                    SubmissionService::personal(cluster(), client.clone(), id.clone())
                        .into_client(),
                )
            }
            Some(OnFile::Unknown { kind }) => Err(RestoreError::Failed(format!(
                "this scheduler does not know services of type {kind:?}"
            ))),
            None => Err(RestoreError::UnknownService),
        }
    }
}

impl Restore for Services {
    fn restore(
        &self,
        id: &ServiceId,
        peer: &Peer,
    ) -> LocalBoxFuture<'static, Result<Client, RestoreError>> {
        futures::future::ready(self.find(id, peer)).boxed_local()
    }
}
