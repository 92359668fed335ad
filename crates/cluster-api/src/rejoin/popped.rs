//! Jobs that a queue returns with their ids.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use super::held::{AttemptName, MAX_ID_BYTES};
use crate::answer::Answer;
use crate::handle::Served;
use crate::raw::extensions_capnp::durable_queue;
use crate::text::{capability, long_text, malformed};
use crate::{Description, EncodedDescription, Job, Queue, RpcError, ServeQueue};

/// A job that a worker takes.
#[derive(Debug, Clone)]
pub struct PoppedJob<D> {
    /// What to do.
    pub description: D,
    /// `None` for a job that ends with its connection.
    pub attempt: Option<AttemptName>,
}

impl Queue {
    /// Waits until there is a job for this worker, and takes it, as [`Queue::pop`] does.
    ///
    /// A description that cannot be decoded is the client's fault: the worker reports it in the job's log, and
    /// continues with its next job.
    ///
    /// This is an extension of ours, for workers that have registered by
    /// [`Registration::rejoin`](crate::Registration::rejoin).
    pub fn pop_durable(&self, job: Job) -> Answer<PoppedJob<Result<Description, RpcError>>> {
        let client: durable_queue::Client = self.clone().into_raw().cast_to();
        let mut request = client.pop_request();
        request.get().set_job(job.into_raw());
        Answer::new(
            request.send().promise,
            |results: durable_queue::pop_results::Reader<'_>| {
                let job = long_text(results.get_id(), "id", MAX_ID_BYTES)?;
                let number = results.get_attempt();
                let description = results
                    .get_descr()
                    .map_err(|error| malformed(&error, "descr"))
                    .and_then(|descr| EncodedDescription::copy(descr)?.decode());
                Ok(PoppedJob {
                    description,
                    attempt: (!job.is_empty()).then_some(AttemptName { job, number }),
                })
            },
        )
    }
}

impl<S: ServeQueue> durable_queue::Server for Served<S> {
    fn pop(
        self: Rc<Self>,
        params: durable_queue::PopParams,
        mut results: durable_queue::PopResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let queue = self.object();
        async move {
            let job = capability(params.get()?.get_job(), "job")?
                .ok_or_else(|| RpcError::failed("Missing job!"))?;
            drop(params);
            let PoppedJob {
                description,
                attempt,
            } = queue.pop_durable(Job::from_raw(job)).await?;
            description.with_reader(|reader| Ok(results.get().set_descr(reader)?))?;
            if let Some(AttemptName { job, number }) = attempt {
                results.get().set_id(&job);
                results.get().set_attempt(number);
            }
            Ok(())
        }
    }
}
