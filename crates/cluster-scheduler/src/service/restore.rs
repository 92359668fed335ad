//! How others reach services: by the secret id in a sturdy ref.
//!
//! Ids are looked up by their digest, so neither the table nor the time a lookup takes gives one away.
//! A removed client is refused from that moment on, also by capabilities that it still holds.

use std::collections::HashMap;
use std::rc::Rc;

use capnp::capability::Client;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use pool::{ClientId, NameError};
use vat::{Identity, Peer, Restore, RestoreError, ServiceId};

use super::admin::AdminService;
use super::registration::RegistrationService;
use super::submission::SubmissionService;
use crate::clients::{Digest, SHARED, StoredService};
use crate::cluster::Cluster;
use crate::derived::DerivedService;
use crate::reactor::Reactor;

/// The services, by the digests of their ids.
pub(crate) struct Services {
    cluster: Rc<Cluster>,
    /// Those whose ids are derived from the vat's key, and never change.
    derived: HashMap<Digest, Derived>,
}

/// What is served for a derived id.
enum Derived {
    Admin,
    Registration(Rc<Reactor>),
    SharedSubmission(ClientId),
}

/// Why a derived service cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The client in whose name shared jobs run cannot have its name.
    #[error("cannot serve \"{service}\": its client's {reason}")]
    ClientName {
        /// The service.
        service: DerivedService,
        /// What is wrong with the name.
        #[source]
        reason: NameError,
    },
    /// Its pool does not exist.
    #[error("cannot serve \"{0}\": there is no such pool")]
    NoPool(DerivedService),
    /// Two services would have the same id.
    #[error("cannot serve \"{0}\": another service has the same id")]
    SameId(DerivedService),
}

impl Derived {
    fn new(cluster: &Cluster, service: &DerivedService) -> Result<Self, ServiceError> {
        match service {
            DerivedService::Admin => Ok(Self::Admin),
            DerivedService::SharedSubmission => {
                let client = ClientId::new(SHARED);
                let client = client.map_err(|reason| ServiceError::ClientName {
                    service: service.clone(),
                    reason,
                })?;
                Ok(Self::SharedSubmission(client))
            }
            DerivedService::Registration(pool) => {
                let reactor = cluster.pool(pool.as_str());
                let reactor = reactor.ok_or_else(|| ServiceError::NoPool(service.clone()))?;
                Ok(Self::Registration(Rc::clone(reactor)))
            }
        }
    }
}

impl Services {
    /// Serves all derived services, or says which of them cannot be served.
    pub(crate) fn new(cluster: Rc<Cluster>, identity: &Identity) -> Result<Self, ServiceError> {
        let mut derived = HashMap::new();
        for service in DerivedService::all(cluster.pools().keys()) {
            let served = Derived::new(&cluster, &service)?;
            let same = derived.insert(service.id(identity).digest(), served);
            if same.is_some() {
                return Err(ServiceError::SameId(service));
            }
        }
        Ok(Self { cluster, derived })
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
            Some(StoredService::Client(client)) => {
                Ok(
                    SubmissionService::personal(cluster(), client.clone(), id.clone())
                        .into_client(),
                )
            }
            Some(StoredService::Unknown { kind }) => Err(RestoreError::Failed(format!(
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
