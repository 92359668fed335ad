//! Answers what the pages ask for.

use std::rc::Rc;

use cluster_api::{
    AuditPage, AuditQuery, DurableLogChunk, DurableStage, Explanation, JobDetails, JobQuery,
    RpcError,
};
use cluster_web::ClusterError;
use cluster_web::access::{Holder, Role};
use cluster_web::cluster::{FoundJobs, JobsQuery, Redeemed, Submitted, WorkerPast};
use jobs::JobId;
use pool::{ClientId, WorkerName};

use super::pool_states::Pools;
use super::readings::Readings;
use super::submitted;
use crate::clients::SHARED;
use crate::cluster::Cluster;
use crate::durable::{DurableJobs, Warmth};

/// How many cache hints of a worker are shown.
const MAX_HINTS: usize = 100;

/// Answers what the pages ask for, in the thread of the capabilities.
pub(super) struct WebService {
    pub(super) cluster: Rc<Cluster>,
    pub(super) jobs: Rc<DurableJobs>,
    pub(super) pools: Rc<Pools>,
    pub(super) readings: Rc<Readings>,
}

impl WebService {
    pub(super) fn new(cluster: Rc<Cluster>) -> Rc<Self> {
        Rc::new(Self {
            jobs: cluster.durable_jobs(),
            cluster,
            pools: Rc::default(),
            readings: Rc::default(),
        })
    }

    pub(super) fn redeem(&self, secret: &str) -> Option<Redeemed> {
        self.cluster.web_links().redeem(secret)
    }

    /// Returns whether a client is still reached by the secret that its session began with.
    pub(super) fn is_current(&self, holder: &Holder) -> bool {
        match &holder.role {
            Role::Admin | Role::Job { .. } => true,
            // All have the same secret, which comes from the scheduler's key as that of the sessions does.
            Role::Client { name, .. } if name == SHARED => true,
            Role::Client { name, access } => match ClientId::new(name) {
                Ok(client) => self.cluster.clients().is_reached_by(&client, *access),
                Err(_) => false,
            },
        }
    }

    pub(super) fn is_client(&self, name: &str) -> bool {
        ClientId::new(name).is_ok_and(|client| self.cluster.clients().contains(&client))
    }

    /// Returns the first cache hints of the jobs that a worker has run; none of a worker that is not known.
    pub(super) fn cached(&self, pool: &str, worker: &str) -> Vec<String> {
        let pool = self.cluster.pool(pool);
        match (pool, WorkerName::new(worker)) {
            (Some(pool), Ok(worker)) => pool.cached_by(&worker, MAX_HINTS),
            _ => Vec::new(),
        }
    }

    pub(super) async fn jobs(&self, query: JobsQuery) -> Result<FoundJobs, ClusterError> {
        let of_hint = query.hint.is_some();
        let is_all = {
            let JobsQuery { admin, worker, .. } = &query;
            let JobQuery {
                labels,
                states,
                submitted_within,
                before,
                at_most: _,
            } = &admin.jobs;
            let is_any_job = labels.is_empty() && states.is_empty() && admin.client.is_none();
            is_any_job && submitted_within.is_none() && before.is_none() && worker.is_none()
        };
        let mut found = self.jobs.list_found(query).await.map_err(refused)?;
        if of_hint {
            find_warm(&mut found, is_all);
        }
        Ok(found)
    }

    /// Returns what is remembered of a worker; nothing of one that is not known.
    pub(super) fn worker_past(&self, pool: &str, worker: &str) -> WorkerPast {
        let reactor = self.cluster.pool(pool);
        let (Some(reactor), Ok(worker)) = (reactor, WorkerName::new(worker)) else {
            return WorkerPast::default();
        };
        WorkerPast {
            registrations: reactor.registrations(&worker),
            readings: self.readings.of(pool, &worker, reactor.now()),
        }
    }

    /// Returns the id of a job, which may be shortened while it is unique.
    pub(super) async fn find(&self, id: &str) -> Result<JobId, ClusterError> {
        let found = self.jobs.find_any(id).await;
        found.map_err(|error| match refused(error) {
            ClusterError::Refused(message) => ClusterError::NotFound(message),
            error => error,
        })
    }

    /// Returns the id of a job that was found before, so that whether it is kept needs no look at the disk again.
    pub(super) async fn found(&self, id: &str) -> Result<JobId, ClusterError> {
        match id.parse() {
            Ok(job) => Ok(job),
            // It was shortened.
            Err(_) => self.find(id).await,
        }
    }

    pub(super) async fn job(&self, id: &str) -> Result<JobDetails, ClusterError> {
        let job = self.find(id).await?;
        self.jobs.known(job).await.map_err(refused)
    }

    pub(super) async fn submitted(&self, id: &str) -> Result<Option<Submitted>, ClusterError> {
        let job = self.found(id).await?;
        let description = self.jobs.kept_description(job).await.map_err(refused)?;
        Ok(description.as_ref().map(submitted::of))
    }

    pub(super) async fn follow_log(
        &self,
        id: &str,
        attempt: u32,
        start: u64,
    ) -> Result<DurableLogChunk, ClusterError> {
        let job = self.found(id).await?;
        self.jobs.log(job, attempt, start).await.map_err(refused)
    }

    /// Returns why a job waits, or that it does not.
    pub(super) async fn explain(&self, id: &str) -> Result<Explanation, ClusterError> {
        let job = self.found(id).await?;
        self.jobs.explain(job).await.map_err(refused)
    }

    /// Returns the next version of a job's state; `None` if it has ended.
    pub(super) async fn job_changed(
        &self,
        id: &str,
        version: Option<u64>,
    ) -> Result<Option<u64>, ClusterError> {
        let job = self.found(id).await?;
        let status = self.jobs.watch(job, version).await.map_err(refused)?;
        Ok(match status.stage {
            DurableStage::Ended { .. } => None,
            _ => Some(status.version),
        })
    }

    pub(super) async fn audit(&self, query: AuditQuery) -> Result<AuditPage, ClusterError> {
        self.jobs.audit_page(query).await.map_err(refused)
    }
}

/// Finds out which jobs of a hint were warm. `is_all`: whether these may be all that there were, so that the first one
/// of each worker was cold.
fn find_warm(found: &mut FoundJobs, is_all: bool) {
    let is_all = is_all && found.next.is_none();
    let mut warmth = Warmth::default();
    // The latest is the first one.
    for job in found.jobs.iter_mut().rev() {
        if let Some(worker) = &job.summary.worker {
            // The hint is the same for all.
            let is_warm = warmth.ran(&job.summary.pool, worker, "hint");
            job.is_warm = (is_warm || is_all).then_some(is_warm);
        }
    }
}

/// Returns why something cannot be had, for people.
pub(super) fn refused(error: RpcError) -> ClusterError {
    use cluster_api::RpcErrorKind;
    match error.kind {
        RpcErrorKind::Disconnected | RpcErrorKind::Overloaded => {
            ClusterError::Unavailable(error.reason)
        }
        _ => ClusterError::Refused(error.reason),
    }
}
