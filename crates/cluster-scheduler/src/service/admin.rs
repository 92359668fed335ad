//! The whole cluster, as an operator sees it. What an operator changes is in the audit log before it is answered.

use std::rc::Rc;

use cluster_api::{
    Admin, AdminJobQuery, AuditPage, AuditQuery, DurableLogChunk, Explanation, JobDetails,
    LeaderStatus, ListedJobs, LogTimesPage, Phase, PoolAdmin, RpcError, ServeAdmin, Submission,
    WebLink,
};
use vat::Peer;

use super::operator::{Action, Operator};
use super::pool_admin::PoolAdminService;
use super::submission::SubmissionService;
use crate::cluster::Cluster;
use crate::web_links::{Links, page_of};

pub(crate) struct AdminService {
    cluster: Rc<Cluster>,
    operator: Rc<Operator>,
    /// `None` for one who uses the pages.
    peer: Option<Peer>,
}

impl AdminService {
    pub(crate) fn serve(cluster: Rc<Cluster>, peer: Peer) -> Admin {
        let operator = Operator::new(peer.clone(), cluster.durable_jobs());
        Admin::serve(Rc::new(Self {
            cluster,
            operator,
            peer: Some(peer),
        }))
    }

    /// Returns the administration for the pages.
    pub(crate) fn of_pages(cluster: Rc<Cluster>, operator: Rc<Operator>) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            operator,
            peer: None,
        })
    }
}

impl ServeAdmin for AdminService {
    async fn pools(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(self
            .cluster
            .pools()
            .keys()
            .map(ToString::to_string)
            .collect())
    }

    async fn pool(self: Rc<Self>, name: String) -> Result<PoolAdmin, RpcError> {
        Ok(match self.cluster.pool(&name) {
            Some(reactor) => PoolAdminService::serve(
                Rc::clone(&self.cluster),
                Rc::clone(reactor),
                Rc::clone(&self.operator),
            ),
            None => PoolAdmin::broken(RpcError::failed("No such pool")),
        })
    }

    async fn add_client(self: Rc<Self>, id: String) -> Result<Submission, RpcError> {
        let Some(peer) = self.peer.clone() else {
            return Err(RpcError::failed("cannot add a client without a connection"));
        };
        let add = async {
            let added = self.cluster.add_client(&id).await;
            added.map_err(|error| RpcError::failed(error.to_string()))
        };
        let action = Action {
            word: "add-client",
            object: &id,
            ..Action::default()
        };
        let (client, secret) = self.operator.audited(action, add).await?;
        Ok(SubmissionService::personal(
            Rc::clone(&self.cluster),
            client,
            secret,
            peer,
        ))
    }

    async fn remove_client(self: Rc<Self>, id: String) -> Result<(), RpcError> {
        let action = Action {
            word: "remove-client",
            object: &id,
            ..Action::default()
        };
        let remove = Rc::clone(&self.cluster).remove_client(&id);
        self.operator.audited(action, remove).await
    }

    async fn list_clients(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(self
            .cluster
            .clients()
            .names()
            .map(ToString::to_string)
            .collect())
    }

    fn identify(self: Rc<Self>, by: String) -> Result<(), RpcError> {
        self.operator.identify(by);
        Ok(())
    }

    async fn list_jobs(self: Rc<Self>, query: AdminJobQuery) -> Result<ListedJobs, RpcError> {
        self.cluster.durable_jobs().list_all(query).await
    }

    async fn job_details(self: Rc<Self>, id: String) -> Result<JobDetails, RpcError> {
        self.cluster.durable_jobs().details(&id).await
    }

    async fn job_log(
        self: Rc<Self>,
        id: String,
        attempt: u32,
        start: u64,
    ) -> Result<DurableLogChunk, RpcError> {
        let jobs = self.cluster.durable_jobs();
        let job = jobs.find_any(&id).await?;
        jobs.log(job, attempt, start).await
    }

    async fn job_phases(self: Rc<Self>, id: String, attempt: u32) -> Result<Vec<Phase>, RpcError> {
        let jobs = self.cluster.durable_jobs();
        let job = jobs.find_any(&id).await?;
        jobs.timeline(job, attempt).await
    }

    async fn job_log_times(
        self: Rc<Self>,
        id: String,
        attempt: u32,
        start: u64,
        end: u64,
    ) -> Result<LogTimesPage, RpcError> {
        let jobs = self.cluster.durable_jobs();
        let job = jobs.find_any(&id).await?;
        jobs.log_times(job, attempt, start..end).await
    }

    async fn cancel_job(self: Rc<Self>, id: String) -> Result<String, RpcError> {
        let jobs = self.cluster.durable_jobs();
        let action = Action {
            word: "cancel",
            object: &format!("job {id}"),
            ..Action::default()
        };
        let cancel = jobs.cancel_for_operator(&id);
        let job = self.operator.audited(action, cancel).await?;
        Ok(job.to_string())
    }

    async fn explain_job(self: Rc<Self>, id: String) -> Result<Explanation, RpcError> {
        let jobs = self.cluster.durable_jobs();
        let job = jobs.find_any(&id).await?;
        jobs.explain(job).await
    }

    async fn audit(self: Rc<Self>, query: AuditQuery) -> Result<AuditPage, RpcError> {
        self.cluster.durable_jobs().audit_page(query).await
    }

    fn leader_status(self: Rc<Self>) -> Result<LeaderStatus, RpcError> {
        Ok(self.cluster.leader().status())
    }

    async fn step_down(self: Rc<Self>) -> Result<(), RpcError> {
        let action = Action {
            word: "step-down",
            ..Action::default()
        };
        let leader = self.cluster.leader();
        // It is recorded before, as nothing can be saved afterwards.
        let allowed = async { leader.may_step_down() };
        self.operator.audited(action, allowed).await?;
        leader.step_down().await
    }

    async fn web_link(self: Rc<Self>, job: Option<String>) -> Result<WebLink, RpcError> {
        let page = match job {
            Some(job) => page_of(self.cluster.durable_jobs().find_any(&job).await?),
            None => "/".to_owned(),
        };
        let links = self.cluster.web_links();
        links.make(Links::admin(self.operator.by()), page)
    }
}
