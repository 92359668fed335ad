//! The scheduler, as the thread of the pages has it.

use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use cluster_api::{
    AuditPage, AuditQuery, DurableLogChunk, Explanation, JobDetails, LogTime, Phase,
};
use cluster_web::access::Holder;
use cluster_web::cluster::{
    Action, Actor, Answer, Cluster, ClusterError, FoundJobs, JobsQuery, LogPiece, PoolState,
    Redeemed, Submitted, WorkerPast,
};
use futures::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use visible::Shown;

use super::Question;
use super::changes::Receivers;
use super::service::WebService;
use crate::leading::LeaseState;

/// Asks the thread of the capabilities.
pub(super) struct Handle {
    questions: mpsc::Sender<Question>,
    /// Set once this scheduler leads.
    leader: Arc<OnceLock<Receivers>>,
    /// `None` if it cannot be a standby.
    lease_state: Option<watch::Receiver<LeaseState>>,
}

impl Handle {
    pub(super) fn new(
        questions: mpsc::Sender<Question>,
        leader: Arc<OnceLock<Receivers>>,
        lease_state: Option<watch::Receiver<LeaseState>>,
    ) -> Self {
        Self {
            questions,
            leader,
            lease_state,
        }
    }

    /// Returns what a scheduler that does not lead answers to everything.
    fn standby(&self) -> ClusterError {
        let Some(lease_state) = &self.lease_state else {
            return ClusterError::Unavailable("The scheduler is starting.".to_owned());
        };
        ClusterError::Unavailable(match &lease_state.borrow().leader {
            Some(leader) if leader.pages.is_empty() => {
                format!(
                    "This scheduler is a standby: {} leads.",
                    Shown(&leader.name)
                )
            }
            Some(leader) => format!(
                "This scheduler is a standby: {} leads. Its pages are at {}",
                Shown(&leader.name),
                Shown(&leader.pages)
            ),
            None => "This scheduler is a standby, and no scheduler leads.".to_owned(),
        })
    }

    /// Has a question answered. It is not worked on any more when the answer is dropped.
    fn ask<T: Send + 'static>(
        &self,
        question: impl AsyncFnOnce(Rc<WebService>) -> Result<T, ClusterError> + Send + 'static,
    ) -> Answer<T> {
        if self.leader.get().is_none() {
            let error = self.standby();
            return async move { Err(error) }.boxed();
        }
        let (mut answer, answered) = oneshot::channel();
        let asked: Question = Box::new(move |service| {
            async move {
                let result = tokio::select! {
                    result = question(service) => result,
                    () = answer.closed() => return,
                };
                // An error means that the browser has gone.
                drop(answer.send(result));
            }
            .boxed_local()
        });
        let busy = || ClusterError::Unavailable("The scheduler has too much to do.".to_owned());
        let sent = self.questions.try_send(asked).map_err(|_| busy());
        async move {
            sent?;
            let ended = |_| ClusterError::Unavailable("The scheduler is shutting down.".to_owned());
            answered.await.map_err(ended)?
        }
        .boxed()
    }
}

impl Cluster for Handle {
    fn redeem(&self, secret: String) -> Answer<Option<Redeemed>> {
        self.ask(async move |service| Ok(service.redeem(&secret)))
    }

    fn is_current(&self, holder: &Holder) -> Answer<bool> {
        let holder = holder.clone();
        self.ask(async move |service| Ok(service.is_current(&holder)))
    }

    fn is_client(&self, name: String) -> Answer<bool> {
        self.ask(async move |service| Ok(service.is_client(&name)))
    }

    fn pools(&self) -> Answer<Vec<Arc<PoolState>>> {
        self.ask(async move |service| service.pools().await)
    }

    fn pool_names(&self) -> Vec<String> {
        let leader = self.leader.get();
        leader.map_or_else(Vec::new, |changes| changes.pools.keys().cloned().collect())
    }

    fn pool(&self, name: String) -> Answer<Arc<PoolState>> {
        self.ask(async move |service| service.pool(&name).await)
    }

    fn cached(&self, pool: String, worker: String) -> Answer<Vec<String>> {
        self.ask(async move |service| Ok(service.cached(&pool, &worker)))
    }

    fn worker_past(&self, pool: String, worker: String) -> Answer<WorkerPast> {
        self.ask(async move |service| Ok(service.worker_past(&pool, &worker)))
    }

    fn jobs(&self, query: JobsQuery) -> Answer<FoundJobs> {
        self.ask(async move |service| service.jobs(query).await)
    }

    fn job(&self, id: String) -> Answer<JobDetails> {
        self.ask(async move |service| service.job(&id).await)
    }

    fn submitted(&self, id: String) -> Answer<Option<Submitted>> {
        self.ask(async move |service| service.submitted(&id).await)
    }

    fn explain(&self, id: String) -> Answer<Explanation> {
        self.ask(async move |service| service.explain(&id).await)
    }

    fn timeline(&self, id: String, attempt: u32) -> Answer<Vec<Phase>> {
        self.ask(async move |service| service.timeline(&id, attempt).await)
    }

    fn log_times(&self, id: String, attempt: u32, part: Range<u64>) -> Answer<Vec<LogTime>> {
        self.ask(async move |service| service.log_times(&id, attempt, part).await)
    }

    fn next_log_times(&self, id: String, attempt: u32, part: Range<u64>) -> Answer<Vec<LogTime>> {
        self.ask(async move |service| service.next_log_times(&id, attempt, part).await)
    }

    fn log_piece(&self, id: String, attempt: u32, start: u64, at_most: usize) -> Answer<LogPiece> {
        self.ask(async move |service| service.log_piece(&id, attempt, start, at_most).await)
    }

    fn follow_log(&self, id: String, attempt: u32, start: u64) -> Answer<DurableLogChunk> {
        self.ask(async move |service| service.follow_log(&id, attempt, start).await)
    }

    fn job_changed(&self, id: String, version: Option<u64>) -> Answer<Option<u64>> {
        self.ask(async move |service| service.job_changed(&id, version).await)
    }

    fn audit(&self, query: AuditQuery) -> Answer<AuditPage> {
        self.ask(async move |service| service.audit(query).await)
    }

    fn act(&self, actor: Actor, action: Action) -> Answer<String> {
        self.ask(async move |service| service.act(actor, action).await)
    }

    fn unavailable(&self) -> Option<ClusterError> {
        self.leader.get().is_none().then(|| self.standby())
    }

    fn changes(&self, pool: Option<&str>) -> Option<watch::Receiver<u64>> {
        let changes = self.leader.get()?;
        match pool {
            None => Some(changes.all.clone()),
            Some(pool) => changes.pools.get(pool).cloned(),
        }
    }
}
