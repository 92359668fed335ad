//! A durable job, as a client holds it.

use std::cell::Cell;
use std::rc::Rc;

use cluster_api::{
    DurableDetails, DurableJob, DurableLogChunk, DurableStatus, Explanation, LogTimesPage, Phase,
    RpcError, ServeDurableJob, ServeExplained, WebLink,
};
use jobs::JobId;

use super::client_access::ClientAccess;
use crate::cluster::Cluster;
use crate::durable::{DurableJobs, Watching};
use crate::web_links::{Links, page_of};

pub(crate) struct DurableJobService {
    cluster: Rc<Cluster>,
    jobs: Rc<DurableJobs>,
    job: JobId,
    /// The client; `None` for one that sees a shared job.
    client: Option<Rc<ClientAccess>>,
    /// `None` for one that only observes the job, and once the client has released it. A call in progress may outlive
    /// that.
    watching: Cell<Option<Watching>>,
}

impl DurableJobService {
    /// Serves a job that its client watches. Returns its id, too.
    pub(super) fn serve(client: &Rc<ClientAccess>, watching: Watching) -> (String, DurableJob) {
        let (cluster, job) = (Rc::clone(&client.cluster), watching.job);
        Self::serve_with(cluster, job, Some(Rc::clone(client)), Some(watching))
    }

    /// Serves a job that its client observes. Returns its id, too.
    pub(super) fn observed(client: &Rc<ClientAccess>, job: JobId) -> (String, DurableJob) {
        let cluster = Rc::clone(&client.cluster);
        Self::serve_with(cluster, job, Some(Rc::clone(client)), None)
    }

    /// Serves a job to those who may see it, and no more.
    pub(crate) fn shared(cluster: Rc<Cluster>, job: JobId) -> DurableJob {
        let (_, job) = Self::serve_with(cluster, job, None, None);
        job
    }

    fn serve_with(
        cluster: Rc<Cluster>,
        job: JobId,
        client: Option<Rc<ClientAccess>>,
        watching: Option<Watching>,
    ) -> (String, DurableJob) {
        let service = Rc::new(Self {
            jobs: cluster.durable_jobs(),
            cluster,
            job,
            client,
            watching: Cell::new(watching),
        });
        (job.to_string(), DurableJob::serve(service))
    }

    /// Returns the client whose job it is, who may change it.
    fn may(&self, change: &str) -> Result<&Rc<ClientAccess>, RpcError> {
        match &self.client {
            Some(client) => Ok(client),
            None => Err(RpcError::failed(format!(
                "cannot {change} job {}: this cap file only shows it; use that of the client that submitted it",
                self.job
            ))),
        }
    }
}

impl ServeExplained for DurableJobService {
    async fn explain(self: Rc<Self>) -> Result<Explanation, RpcError> {
        self.jobs.explain(self.job).await
    }
}

impl ServeDurableJob for DurableJobService {
    async fn watch(self: Rc<Self>, version: Option<u64>) -> Result<DurableStatus, RpcError> {
        self.jobs.watch(self.job, version).await
    }

    async fn log(self: Rc<Self>, attempt: u32, start: u64) -> Result<DurableLogChunk, RpcError> {
        self.jobs.log(self.job, attempt, start).await
    }

    async fn phases(self: Rc<Self>, attempt: u32) -> Result<Vec<Phase>, RpcError> {
        self.jobs.timeline(self.job, attempt).await
    }

    async fn log_times(
        self: Rc<Self>,
        attempt: u32,
        start: u64,
        end: u64,
    ) -> Result<LogTimesPage, RpcError> {
        self.jobs.log_times(self.job, attempt, start..end).await
    }

    async fn cancel(self: Rc<Self>) -> Result<(), RpcError> {
        self.may("cancel")?;
        self.jobs.cancel(self.job).await
    }

    async fn retry(
        self: Rc<Self>,
        key: Option<String>,
        continues: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        let client = self.may("retry")?;
        client.check()?;
        let peer = client.peer.clone();
        let submitted = self
            .jobs
            .retry(self.job, Some(peer), key, continues)
            .await?;
        Ok(Self::serve(client, submitted))
    }

    async fn share(self: Rc<Self>) -> Result<String, RpcError> {
        // Whom it is shared with can see it for as long as it is kept.
        self.may("share")?.check()?;
        let id = self.cluster.shared_jobs().id(self.job);
        Ok(self.cluster.sturdy_ref(id).to_uri())
    }

    async fn describe(self: Rc<Self>) -> Result<DurableDetails, RpcError> {
        self.jobs.describe(self.job).await
    }

    async fn web_link(self: Rc<Self>) -> Result<WebLink, RpcError> {
        let holder = Links::job(self.job.to_string());
        let links = self.cluster.web_links();
        links.make(holder, page_of(self.job))
    }

    fn released(&self) {
        drop(self.watching.take());
    }
}
