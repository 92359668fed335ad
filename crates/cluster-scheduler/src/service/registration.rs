//! The registration of workers in a pool.

use std::rc::Rc;

use cluster_api::{Queue, Registration, RpcError, ServeRegistration, Worker};
use pool::{Capacity, WorkerName};
use vat::Peer;

use super::queue::QueueService;
use crate::cluster::Cluster;
use crate::reactor::Reactor;

pub(crate) struct RegistrationService {
    cluster: Rc<Cluster>,
    reactor: Rc<Reactor>,
    /// The peer that this registration was given to.
    peer: Peer,
}

impl RegistrationService {
    pub(crate) fn serve(cluster: Rc<Cluster>, reactor: Rc<Reactor>, peer: Peer) -> Registration {
        Registration::serve(Rc::new(Self {
            cluster,
            reactor,
            peer,
        }))
    }

    /// Fails if there would be too many workers with this one.
    fn check_room(&self, name: &WorkerName) -> Result<(), RpcError> {
        let limit = self.cluster.limits().connection_workers;
        if self.reactor.count_registrations(&self.peer) >= limit {
            return Err(RpcError::failed(format!(
                "cannot register worker \"{name}\": {limit} are registered through this connection, and the limit is \
                 {limit} (--max-connection-workers); use another connection"
            )));
        }
        let limit = self.cluster.limits().pool_workers;
        if !self.reactor.has_room_for(name, limit) {
            return Err(RpcError::failed(format!(
                "cannot register worker \"{name}\": the pool knows {limit} workers, and the limit is {limit} \
                 (--max-pool-workers); forget some with \"ocluster-admin forget\""
            )));
        }
        Ok(())
    }
}

impl ServeRegistration for RegistrationService {
    async fn register(
        self: Rc<Self>,
        name: String,
        worker: Worker,
        capacity: i32,
    ) -> Result<Queue, RpcError> {
        let worker_name = WorkerName::new(&name)
            .map_err(|error| RpcError::failed(format!("worker's {error}")))?;
        self.reactor
            .resolve_name_conflict(&worker_name, &self.peer)
            .await;
        self.check_room(&worker_name)?;
        let capacity = Capacity::announced(capacity);
        let registered = self
            .reactor
            .register(worker_name, capacity, worker, self.peer.clone());
        let id = registered.map_err(|error| {
            tracing::warn!(target: "scheduler", "Worker {name:?} already registered!");
            RpcError::failed(error.to_string())
        })?;
        // If the connection breaks, calls that wait for this worker's answers fail with its name.
        self.peer.describe(format!("worker {name:?} disconnected"));
        Ok(QueueService::serve(Rc::clone(&self.reactor), id))
    }
}
