//! The registration of workers in a pool.

use std::rc::Rc;

use cluster_api::{
    Queue, Registration, Rejoined, ReturningWorker, RpcError, ServeRegistration, Worker,
};
use pool::{Capacity, WorkerId, WorkerName};
use vat::Peer;

use super::queue::QueueService;
use super::replies::new_name;
use crate::cluster::Cluster;
use crate::reactor::Reactor;
use crate::roster::Returning;

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

    /// Registers a worker in the pool. `process` identifies its process, if that is known.
    async fn add(
        &self,
        name: &WorkerName,
        worker: Worker,
        capacity: i32,
        process: Option<u64>,
    ) -> Result<(WorkerId, Queue), RpcError> {
        self.reactor
            .resolve_name_conflict(name, &self.peer, process)
            .await;
        self.check_room(name)?;
        let capacity = Capacity::announced(capacity);
        let registered = self
            .reactor
            .register(name.clone(), capacity, worker, self.peer.clone());
        let name = name.as_str();
        let id = registered.map_err(|error| {
            tracing::warn!(target: "scheduler", "Worker {name:?} already registered!");
            RpcError::failed(error.to_string())
        })?;
        // If the connection breaks, calls that wait for this worker's answers fail with its name.
        self.peer.describe(format!("worker {name:?} disconnected"));
        Ok((id, QueueService::serve(Rc::clone(&self.reactor), id)))
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
        let name = new_name(&name)?;
        let (_, queue) = self.add(&name, worker, capacity, None).await?;
        let jobs = self.cluster.durable_jobs();
        jobs.worker_replaced(self.reactor.name(), &name);
        Ok(queue)
    }

    async fn rejoin(self: Rc<Self>, returning: ReturningWorker) -> Result<Rejoined, RpcError> {
        let ReturningWorker {
            name,
            worker,
            capacity,
            instance,
            held,
        } = returning;
        let name = new_name(&name)?;
        let process = Some(instance).filter(|instance| *instance != 0);
        let jobs = self.cluster.durable_jobs();
        let (id, queue) = match self.add(&name, worker, capacity, process).await {
            Ok(added) => added,
            Err(error) => {
                jobs.worker_refused(held);
                return Err(error);
            }
        };
        let presence = jobs.worker_returned(self.reactor.name(), &name, id, held);
        self.reactor.set_returning(
            id,
            Returning {
                process,
                _presence: Box::new(presence),
            },
        );
        Ok(Rejoined {
            queue,
            grace: jobs.return_timeout(),
        })
    }
}
