//! How others reach services: by the secret id in a sturdy ref.
//!
//! Ids are looked up by their digest, so neither the table nor the time a lookup takes gives one away.
//! A removed client is refused from that moment on, also by capabilities that it still holds.

use std::collections::HashMap;
use std::rc::Rc;

use capnp::capability::Client;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use pool::ClientId;
use vat::{Identity, Peer, Restore, RestoreError, ServiceId};

use super::admin::AdminService;
use super::durable_job::DurableJobService;
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
    SharedSubmission,
}

impl Services {
    /// Serves all derived services of `cluster`.
    pub(crate) fn new(cluster: Rc<Cluster>, identity: &Identity) -> Self {
        let derived = DerivedService::all(cluster.pools().keys())
            .filter_map(|service| {
                let served = match &service {
                    DerivedService::Admin => Derived::Admin,
                    DerivedService::SharedSubmission => Derived::SharedSubmission,
                    // There is none without a reactor: these are the names of the cluster's pools.
                    DerivedService::Registration(pool) => {
                        Derived::Registration(Rc::clone(cluster.pool(pool.as_str())?))
                    }
                };
                Some((service.id(identity).digest(), served))
            })
            .collect();
        Self { cluster, derived }
    }

    fn find(&self, id: &ServiceId, peer: &Peer) -> Result<Client, RestoreError> {
        let digest = id.digest();
        let cluster = || Rc::clone(&self.cluster);
        if let Some(derived) = self.derived.get(&digest) {
            return Ok(match derived {
                Derived::Admin => AdminService::serve(cluster(), peer.clone()).into_client(),
                Derived::Registration(reactor) => {
                    RegistrationService::serve(cluster(), Rc::clone(reactor), peer.clone())
                        .into_client()
                }
                Derived::SharedSubmission => {
                    let client = ClientId::new(SHARED).map_err(|error| {
                        RestoreError::Failed(format!("cannot use client {SHARED:?}: its {error}"))
                    })?;
                    SubmissionService::shared(cluster(), client, id.clone(), peer.clone())
                        .into_client()
                }
            });
        }
        if let Some(job) = self.cluster.shared_jobs().job(id) {
            return Ok(DurableJobService::shared(cluster(), job).into_client());
        }
        match self.cluster.clients().find(&digest) {
            Some(StoredService::Client(client)) => Ok(SubmissionService::personal(
                cluster(),
                client.clone(),
                id.clone(),
                peer.clone(),
            )
            .into_client()),
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
