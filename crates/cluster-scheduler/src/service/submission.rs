//! A client's endpoint.

use std::rc::Rc;

use cluster_api::{
    DurableJob, EncodedDescription, Job, JobPage, JobQuery, JobRequest, Refusal, RpcError,
    ServeSubmission, Submission, Ticket, WebLink,
};
use pool::ClientId;
use vat::{Peer, ServiceId};
use visible::Shown;

use super::client_access::{AccessKind, ClientAccess};
use super::durable_job::DurableJobService;
use super::ticket::TicketService;
use crate::cluster::Cluster;
use crate::durable::DurableJobs;
use crate::tickets::Request;
use crate::web_links::{Links, page_of};

pub(crate) struct SubmissionService(Rc<ClientAccess>);

impl SubmissionService {
    /// Serves the endpoint of one client.
    pub(crate) fn personal(
        cluster: Rc<Cluster>,
        client: ClientId,
        id: ServiceId,
        peer: Peer,
    ) -> Submission {
        Self::serve(ClientAccess {
            cluster,
            client,
            id,
            peer,
            kind: AccessKind::Personal,
        })
    }

    /// Serves the endpoint that all share.
    pub(crate) fn shared(
        cluster: Rc<Cluster>,
        client: ClientId,
        id: ServiceId,
        peer: Peer,
    ) -> Submission {
        Self::serve(ClientAccess {
            cluster,
            client,
            id,
            peer,
            kind: AccessKind::Shared,
        })
    }

    fn serve(access: ClientAccess) -> Submission {
        Submission::serve(Rc::new(Self(Rc::new(access))))
    }

    /// Returns the durable jobs, if this client still exists.
    fn durable_jobs(&self) -> Result<Rc<DurableJobs>, RpcError> {
        self.0.check()?;
        Ok(self.0.cluster.durable_jobs())
    }
}

impl ServeSubmission for SubmissionService {
    /// Errors are returned as a broken ticket, as upstream does, so that calls that were already made on it end in
    /// the same error.
    async fn submit(
        self: Rc<Self>,
        pool: String,
        description: EncodedDescription,
        urgent: bool,
    ) -> Result<Ticket, RpcError> {
        if self.0.is_revoked() {
            return Ok(Ticket::broken(Refusal::revoked()));
        }
        let Some(reactor) = self.0.cluster.pool(&pool) else {
            let names: Vec<_> = self
                .0
                .cluster
                .pools()
                .keys()
                .map(|name| name.as_str())
                .collect();
            let refusal = Refusal::no_such_pool(Shown(&pool), &names);
            return Ok(Ticket::broken(refusal));
        };
        let (length, size) = (description.length(), description.size());
        let reservation = match self.0.cluster.quota().take(&self.0.client, length, size) {
            Ok(reservation) => reservation,
            Err(error) => return Ok(Ticket::broken(error.into())),
        };
        let attached =
            self.0
                .cluster
                .durable_jobs()
                .attach(&self.0.client, &pool, &description, urgent);
        let (resolver, job) = Job::promise();
        let request = Request {
            client: self.0.client.clone(),
            description,
            job: resolver,
            _reservation: reservation,
            attached: attached.clone(),
        };
        let ticket = reactor.submit(request, urgent);
        if let Some(attached) = attached {
            attached.queued(ticket);
        }
        Ok(TicketService::serve(Rc::clone(reactor), ticket, job))
    }

    async fn submit_durable(
        self: Rc<Self>,
        job: JobRequest,
    ) -> Result<(String, DurableJob), RpcError> {
        let submitted = self
            .durable_jobs()?
            .submit(self.0.client.clone(), self.0.peer.clone(), job)
            .await?;
        Ok(DurableJobService::serve(&self.0, submitted))
    }

    async fn find_durable(
        self: Rc<Self>,
        id: String,
        observing: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        let jobs = self.durable_jobs()?;
        let found = jobs.find(&self.0.client, &id).await?;
        Ok(match observing {
            true => DurableJobService::observed(&self.0, found),
            false => {
                let watching = jobs.watch_from_now_on(found, Some(self.0.peer.clone()));
                DurableJobService::serve(&self.0, watching)
            }
        })
    }

    async fn list_durable(self: Rc<Self>, query: JobQuery) -> Result<JobPage, RpcError> {
        self.durable_jobs()?
            .list(self.0.client.clone(), query)
            .await
    }

    async fn save(self: Rc<Self>) -> Result<String, RpcError> {
        if self.0.is_revoked() {
            return Err(Refusal::revoked());
        }
        Ok(self.0.cluster.sturdy_ref(self.0.id.clone()).to_uri())
    }

    async fn web_link(
        self: Rc<Self>,
        job: Option<String>,
        only: bool,
    ) -> Result<WebLink, RpcError> {
        let access = &self.0;
        let holder = Links::client(access.client.as_str(), &access.id.digest());
        let links = access.cluster.web_links();
        let Some(job) = job else {
            access.check()?;
            return links.make(holder, "/".to_owned());
        };
        let job = self.durable_jobs()?.find(&access.client, &job).await?;
        let holder = match only {
            true => Links::job(job.to_string()),
            false => holder,
        };
        links.make(holder, page_of(job))
    }
}
