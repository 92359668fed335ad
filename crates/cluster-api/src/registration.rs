//! Registrations: how workers join a pool.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::handle::{Served, handle, nothing};
use crate::raw::extensions_capnp::extended_registration;
use crate::raw::schema_capnp::registration;
use crate::rejoin::no_rejoining;
use crate::text::{capability, returned, text};
use crate::{Queue, Rejoined, ReturningWorker, RpcError, ServiceKind, Worker};

handle! {
    /// The right to register workers in one pool.
    Registration, registration
}

impl Registration {
    /// Serves `registration`, together with the extension [`Registration::rejoin`].
    pub fn serve<S: ServeRegistration>(registration: Rc<S>) -> Self {
        let client: extended_registration::Client =
            dispatch::new_client(Served::new(registration, nothing));
        Self::from_raw(client.cast_to())
    }

    /// Asks the service which kind it really is: cap files are easily mixed up.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn kind(&self) -> Result<ServiceKind, RpcError> {
        ServiceKind::of(self.clone().into_client()).await
    }

    /// Registers a worker until the returned queue is dropped.
    ///
    /// [`Queue::pop`] can be called at once. `capacity` is the number of jobs that the worker runs at once.
    pub fn register(&self, name: &str, worker: Worker, capacity: i32) -> Pipelined<Queue> {
        let mut request = self.client.register_request();
        let mut params = request.get();
        params.set_name(name);
        params.set_worker(worker.into_raw());
        params.set_capacity(capacity);
        let sent = request.send();
        let queue = Queue::from_raw(sent.pipeline.get_queue());
        let answer = Answer::new(
            sent.promise,
            |results: registration::register_results::Reader<'_>| {
                Ok(Queue::from_raw(returned(results.get_queue(), "queue")?))
            },
        );
        Pipelined::new(queue, answer)
    }
}

/// A registration, as a scheduler implements it.
pub trait ServeRegistration: 'static {
    /// See [`Registration::register`]. The capacity is not checked: it may be 0 or negative.
    ///
    /// # Errors
    /// The caller gets the error.
    fn register(
        self: Rc<Self>,
        name: String,
        worker: Worker,
        capacity: i32,
    ) -> impl Future<Output = Result<Queue, RpcError>>;

    /// See [`Registration::rejoin`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn rejoin(
        self: Rc<Self>,
        returning: ReturningWorker,
    ) -> impl Future<Output = Result<Rejoined, RpcError>> {
        drop(returning);
        async { Err(no_rejoining()) }
    }
}

impl<S: ServeRegistration> registration::Server for Served<S> {
    fn register(
        self: Rc<Self>,
        params: registration::RegisterParams,
        mut results: registration::RegisterResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let registration = self.object();
        async move {
            let reader = params.get()?;
            let name = text(reader.get_name(), "name")?;
            let worker = capability(reader.get_worker(), "worker")?
                .ok_or_else(|| RpcError::failed("Missing worker argument!"))?;
            let capacity = reader.get_capacity();
            drop(params);
            let queue = registration
                .register(name, Worker::from_raw(worker), capacity)
                .await?;
            results.get().set_queue(queue.into_raw());
            Ok(())
        }
    }
}

impl<S: ServeRegistration> extended_registration::Server for Served<S> {}
