//! The queue from which a registered worker gets its jobs. The registration ends when the worker releases it.

use std::rc::Rc;

use cluster_api::{EncodedDescription, Job, PauseReason, PoppedJob, Queue, RpcError, ServeQueue};
use futures::channel::oneshot;
use pool::{InactiveReason, PopId, WorkerId};

use crate::reactor::{PendingPop, PopAnswer, Reactor};

pub(crate) struct QueueService {
    reactor: Rc<Reactor>,
    worker: WorkerId,
}

impl QueueService {
    pub(crate) fn serve(reactor: Rc<Reactor>, worker: WorkerId) -> Queue {
        Queue::serve(Rc::new(Self { reactor, worker }))
    }

    /// Waits for a job. `keeps_jobs` says whether the worker keeps its durable jobs while it is disconnected.
    async fn take(
        &self,
        job: Job,
        keeps_jobs: bool,
    ) -> Result<PoppedJob<EncodedDescription>, RpcError> {
        loop {
            if self.reactor.assignments_stopped() {
                return std::future::pending().await;
            }
            let (pending, answered) = PendingPop::new(keeps_jobs);
            let pop = self.reactor.pop(self.worker, pending).map_err(closed)?;
            let _guard = PopGuard {
                reactor: &self.reactor,
                pop,
            };
            match answered.await {
                Ok(PopAnswer::Assigned(assignment)) => return Ok(assignment.hand_over(job)),
                Ok(PopAnswer::WaitOn) => {}
                Err(oneshot::Canceled) => return Err(RpcError::failed("Worker disconnected")),
            }
        }
    }
}

impl ServeQueue for QueueService {
    async fn pop(self: Rc<Self>, job: Job) -> Result<EncodedDescription, RpcError> {
        Ok(self.take(job, false).await?.description)
    }

    async fn pop_durable(
        self: Rc<Self>,
        job: Job,
    ) -> Result<PoppedJob<EncodedDescription>, RpcError> {
        self.take(job, true).await
    }

    async fn set_active(self: Rc<Self>, active: bool) -> Result<(), RpcError> {
        self.reactor
            .set_active(self.worker, InactiveReason::WorkerPause, active)
            .map_err(closed)
    }

    async fn set_pause_reasons(self: Rc<Self>, reasons: Vec<PauseReason>) -> Result<(), RpcError> {
        self.reactor.set_pause_reasons(self.worker, reasons);
        Ok(())
    }

    async fn pruned(self: Rc<Self>, hints: Vec<String>) -> Result<(), RpcError> {
        self.reactor.pruned(self.worker, &hints).map_err(closed)
    }

    fn released(&self) {
        self.reactor.worker_released(self.worker);
    }
}

/// Cancels a pop when its call ends for any reason. Otherwise the next job would go to a worker that
/// does not wait for it any more, and be lost.
struct PopGuard<'a> {
    reactor: &'a Reactor,
    pop: PopId,
}

impl Drop for PopGuard<'_> {
    fn drop(&mut self) {
        self.reactor.cancel_pop(self.pop);
    }
}

fn closed(error: pool::Disconnected) -> RpcError {
    RpcError::failed(error.to_string())
}
