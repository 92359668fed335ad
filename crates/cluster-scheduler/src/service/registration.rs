//! Where the workers of a pool come in.

use std::rc::Rc;

use cluster_api::{Queue, Registration, RpcError, ServeRegistration, Worker};
use pool::{Capacity, WorkerName};
use vat::Peer;

use super::queue::QueueService;
use crate::reactor::Reactor;

pub(crate) struct RegistrationService {
    reactor: Rc<Reactor>,
    /// Whoever has been given this registration.
    peer: Peer,
}

impl RegistrationService {
    pub(crate) fn serve(reactor: Rc<Reactor>, peer: Peer) -> Registration {
        Registration::serve(Rc::new(Self { reactor, peer }))
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
        self.reactor.vacate(&worker_name, &self.peer).await;
        let capacity = Capacity::announced(capacity);
        let registered = self
            .reactor
            .register(worker_name, capacity, worker, self.peer.clone());
        let id = registered.map_err(|error| {
            tracing::warn!(target: "scheduler", "Worker {name:?} already registered!");
            RpcError::failed(error.to_string())
        })?;
        // Whoever waits for this worker's answers when its connection breaks is told whose they were.
        self.peer.describe(format!("worker {name:?} disconnected"));
        Ok(QueueService::serve(Rc::clone(&self.reactor), id))
    }
}
