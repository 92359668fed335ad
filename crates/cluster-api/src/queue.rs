//! Queues: how a registered worker gets its jobs.

use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::dispatch;
use crate::handle::{Served, handle};
use crate::pause_reason;
use crate::raw::extensions_capnp::{extended_queue, pause_reasons, pruned_caches};
use crate::raw::schema_capnp::queue;
use crate::rejoin::no_rejoining;
use crate::text::{capability, list_length, long_texts, malformed};
use crate::{Description, EncodedDescription, Job, PauseReason, PoppedJob, RpcError};

/// The limit for a cache hint that was pruned, in bytes. Longer ones are kept by their digests.
const MAX_HINT_BYTES: usize = 64 << 10;

handle! {
    /// A worker's registration. When the last reference is dropped, the worker is unregistered.
    Queue, queue
}

/// Why [`Queue::pop`] returned no description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PopError {
    /// The call failed: there is no job.
    #[error("{0}")]
    NoJob(#[from] RpcError),
    /// The worker has taken the job, and its client waits for it, but its description cannot be decoded.
    ///
    /// That is the client's fault, so the worker should report it in the job's log, and continue with its next job.
    #[error("bad job description: {0}")]
    BadDescription(RpcError),
}

impl Queue {
    /// Serves `queue`, together with the extensions [`Queue::set_pause_reasons`], [`Queue::pruned`] and
    /// [`Queue::pop_durable`].
    ///
    /// [`ServeQueue::released`] is called when the returned handle and all its clones are dropped.
    pub fn serve<S: ServeQueue>(queue: Rc<S>) -> Self {
        let client: extended_queue::Client = dispatch::new_client(Served::new(queue, S::released));
        Self::from_raw(client.cast_to())
    }

    /// Waits until there is a job for this worker, and takes it.
    ///
    /// `job` will be that job. Calls on it may arrive before the answer to this call.
    pub fn pop(&self, job: Job) -> Answer<Description, PopError> {
        let mut request = self.client.pop_request();
        request.get().set_job(job.into_raw());
        Answer::new(
            request.send().promise,
            |results: queue::pop_results::Reader<'_>| {
                results
                    .get_descr()
                    .map_err(|error| malformed(&error, "descr"))
                    .and_then(|descr| EncodedDescription::copy(descr)?.decode())
                    .map_err(PopError::BadDescription)
            },
        )
    }

    /// Pauses the calling worker, or ends its pause.
    pub fn set_active(&self, active: bool) -> Answer<()> {
        let mut request = self.client.set_active_request();
        request.get().set_active(active);
        Answer::new(
            request.send().promise,
            |_: queue::set_active_results::Reader<'_>| Ok(()),
        )
    }

    /// Reports why the worker pauses itself, and replaces earlier reasons. Call it before [`Queue::set_active`].
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    pub fn set_pause_reasons(&self, reasons: &[PauseReason]) -> Answer<()> {
        let client: pause_reasons::Client = self.client.clone().cast_to();
        let mut request = client.set_pause_reasons_request();
        // A worker has a handful of them.
        let length = u32::try_from(reasons.len()).unwrap_or_default();
        pause_reason::write(request.get().init_reasons(length), reasons);
        Answer::new(
            request.send().promise,
            |_: pause_reasons::set_pause_reasons_results::Reader<'_>| Ok(()),
        )
    }

    /// Reports that the worker has nothing cached any more for jobs with some cache hints. None means all hints.
    ///
    /// This is an extension of ours: upstream's scheduler answers `Unimplemented`.
    ///
    /// # Errors
    ///
    /// There are too many hints.
    pub fn pruned(&self, hints: &[String]) -> Result<Answer<()>, RpcError> {
        let client: pruned_caches::Client = self.client.clone().cast_to();
        let mut request = client.pruned_request();
        let mut list = request.get().init_hints(list_length(hints, "hints")?);
        for (index, hint) in (0..).zip(hints) {
            list.set(index, hint);
        }
        Ok(Answer::new(
            request.send().promise,
            |_: pruned_caches::pruned_results::Reader<'_>| Ok(()),
        ))
    }
}

/// A queue, as a scheduler implements it.
pub trait ServeQueue: 'static {
    /// See [`Queue::pop`].
    ///
    /// The returned future is dropped when the worker cancels its request.
    ///
    /// # Errors
    /// The caller gets the error.
    fn pop(self: Rc<Self>, job: Job) -> impl Future<Output = Result<EncodedDescription, RpcError>>;

    /// See [`Queue::pop_durable`]. Optional: the default answers `Unimplemented`.
    ///
    /// The returned future is dropped when the worker cancels its request.
    ///
    /// # Errors
    /// The caller gets the error.
    fn pop_durable(
        self: Rc<Self>,
        job: Job,
    ) -> impl Future<Output = Result<PoppedJob<EncodedDescription>, RpcError>> {
        drop(job);
        async { Err(no_rejoining()) }
    }

    /// See [`Queue::set_active`].
    ///
    /// # Errors
    /// The caller gets the error.
    fn set_active(self: Rc<Self>, active: bool) -> impl Future<Output = Result<(), RpcError>>;

    /// See [`Queue::set_pause_reasons`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn set_pause_reasons(
        self: Rc<Self>,
        reasons: Vec<PauseReason>,
    ) -> impl Future<Output = Result<(), RpcError>> {
        drop(reasons);
        async {
            Err(RpcError::unimplemented(
                "this scheduler does not store pause reasons",
            ))
        }
    }

    /// See [`Queue::pruned`]. Optional: the default answers `Unimplemented`.
    ///
    /// # Errors
    /// The caller gets the error.
    fn pruned(self: Rc<Self>, hints: Vec<String>) -> impl Future<Output = Result<(), RpcError>> {
        drop(hints);
        async {
            Err(RpcError::unimplemented(
                "this scheduler does not forget what workers have pruned",
            ))
        }
    }

    /// The last reference was dropped: the worker has left, though its `pop` may still be waiting.
    ///
    /// This is called from inside the RPC system: it may record the event and wake a task, but must not make calls.
    fn released(&self);
}

impl<S: ServeQueue> queue::Server for Served<S> {
    fn pop(
        self: Rc<Self>,
        params: queue::PopParams,
        mut results: queue::PopResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let queue = self.object();
        async move {
            let job = capability(params.get()?.get_job(), "job")?
                .ok_or_else(|| RpcError::failed("Missing job!"))?;
            drop(params);
            let description = queue.pop(Job::from_raw(job)).await?;
            description.with_reader(|reader| Ok(results.get().set_descr(reader)?))?;
            Ok(())
        }
    }

    fn set_active(
        self: Rc<Self>,
        params: queue::SetActiveParams,
        _results: queue::SetActiveResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let queue = self.object();
        async move {
            let active = params.get()?.get_active();
            Ok(queue.set_active(active).await?)
        }
    }
}

impl<S: ServeQueue> pause_reasons::Server for Served<S> {
    fn set_pause_reasons(
        self: Rc<Self>,
        params: pause_reasons::SetPauseReasonsParams,
        _results: pause_reasons::SetPauseReasonsResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let queue = self.object();
        async move {
            let reader = params.get()?;
            let reasons = pause_reason::read(reader.get_reasons(), reader.total_size(), "reasons")?;
            drop(params);
            Ok(queue.set_pause_reasons(reasons).await?)
        }
    }
}

impl<S: ServeQueue> pruned_caches::Server for Served<S> {
    fn pruned(
        self: Rc<Self>,
        params: pruned_caches::PrunedParams,
        _results: pruned_caches::PrunedResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let queue = self.object();
        async move {
            let reader = params.get()?;
            let hints = long_texts(reader.get_hints(), "hints", MAX_HINT_BYTES)?;
            drop(params);
            Ok(queue.pruned(hints).await?)
        }
    }
}

impl<S: ServeQueue> extended_queue::Server for Served<S> {}
