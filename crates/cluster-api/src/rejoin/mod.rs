//! Workers that keep their durable jobs while they are disconnected: how they register again with what they hold, how
//! they get jobs with ids, and how they learn that they can forget one.

mod held;
mod kept_job;
mod popped;

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::details::millis;
use crate::handle::Served;
use crate::raw::extensions_capnp::returning_workers;
use crate::text::{capability, check_length, list_length, malformed, returned, text};
use crate::{Queue, Registration, RpcError, ServeRegistration, Worker};

pub use held::{AttemptName, HeldAttempt, HeldState, MAX_HELD_ATTEMPTS};
pub use popped::PoppedJob;

/// A worker that registers with what it has kept.
#[derive(Debug)]
pub struct ReturningWorker {
    /// Its name.
    pub name: String,
    /// Its capability.
    pub worker: Worker,
    /// How many jobs it runs at once. Not checked: it may be 0 or negative.
    pub capacity: i32,
    /// Identifies its process; 0 if that is not known.
    pub instance: u64,
    /// The attempts that it has kept.
    pub held: Vec<HeldAttempt>,
}

/// The registration of a [`ReturningWorker`].
#[derive(Debug)]
pub struct Rejoined {
    /// The worker is registered until this is dropped.
    pub queue: Queue,
    /// How long the worker keeps running its durable jobs without a connection.
    pub grace: Duration,
}

impl Registration {
    /// Registers a worker with the attempts that it has kept, until the returned queue is dropped.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn rejoin(&self, returning: ReturningWorker) -> Answer<Rejoined> {
        let client: returning_workers::Client = self.clone().into_raw().cast_to();
        let mut request = client.rejoin_request();
        let ReturningWorker {
            name,
            worker,
            capacity,
            instance,
            held,
        } = returning;
        let mut params = request.get();
        params.set_name(&name);
        params.set_worker(worker.into_raw());
        params.set_capacity(capacity);
        params.set_instance(instance);
        let written = list_length(&held, "held")
            .and_then(|length| held::write(params.init_held(length), held));
        if let Err(error) = written {
            return Answer::failed(error);
        }
        Answer::new(
            request.send().promise,
            |results: returning_workers::rejoin_results::Reader<'_>| {
                Ok(Rejoined {
                    queue: Queue::from_raw(returned(results.get_queue(), "queue")?),
                    grace: Duration::from_millis(results.get_grace()),
                })
            },
        )
    }
}

/// The error of a scheduler that does not know workers that return.
pub(crate) fn no_rejoining() -> RpcError {
    RpcError::unimplemented("this scheduler does not know workers that return")
}

impl<S: ServeRegistration> returning_workers::Server for Served<S> {
    fn rejoin(
        self: Rc<Self>,
        params: returning_workers::RejoinParams,
        mut results: returning_workers::RejoinResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let registration = self.object();
        async move {
            let reader = params.get()?;
            let worker = capability(reader.get_worker(), "worker")?
                .ok_or_else(|| RpcError::failed("Missing worker argument!"))?;
            let list = reader
                .get_held()
                .map_err(|error| malformed(&error, "held"))?;
            check_length(reader.total_size(), list.len(), "held")?;
            let returning = ReturningWorker {
                name: text(reader.get_name(), "name")?,
                worker: Worker::from_raw(worker),
                capacity: reader.get_capacity(),
                instance: reader.get_instance(),
                held: held::read(list)?,
            };
            drop(params);
            let Rejoined { queue, grace } = registration.rejoin(returning).await?;
            let mut results = results.get();
            results.set_queue(queue.into_raw());
            results.set_grace(millis(grace));
            Ok(())
        }
    }
}
