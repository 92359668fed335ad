//! A client's endpoint.

use std::rc::Rc;

use cluster_api::{
    DurableJob, EncodedDescription, Job, JobPage, JobQuery, JobRequest, Refusal, RpcError,
    ServeSubmission, Submission, Ticket,
};
use pool::ClientId;
use vat::{Peer, ServiceId};
use visible::Shown;

use super::durable_job::DurableJobService;
use super::ticket::TicketService;
use crate::cluster::Cluster;
use crate::durable::DurableJobs;
use crate::tickets::Request;

pub(crate) struct SubmissionService {
    pub(super) cluster: Rc<Cluster>,
    client: ClientId,
    /// The secret by which this very endpoint is reached.
    id: ServiceId,
    kind: Kind,
    /// Whose connection it is.
    pub(super) peer: Peer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It belongs to one client, and is revoked when that client is removed.
    Personal,
    /// All clients with `submission.cap` share it.
    Shared,
}

impl SubmissionService {
    /// Serves the endpoint of one client.
    pub(crate) fn personal(
        cluster: Rc<Cluster>,
        client: ClientId,
        id: ServiceId,
        peer: Peer,
    ) -> Submission {
        Submission::serve(Rc::new(Self {
            cluster,
            client,
            id,
            peer,
            kind: Kind::Personal,
        }))
    }

    /// Serves the endpoint that all share.
    pub(crate) fn shared(
        cluster: Rc<Cluster>,
        client: ClientId,
        id: ServiceId,
        peer: Peer,
    ) -> Submission {
        Submission::serve(Rc::new(Self {
            cluster,
            client,
            id,
            peer,
            kind: Kind::Shared,
        }))
    }

    /// Returns the durable jobs, if this client still exists.
    fn durable_jobs(&self) -> Result<Rc<DurableJobs>, RpcError> {
        self.check_access()?;
        Ok(self.cluster.durable_jobs())
    }

    /// Fails if the client was removed.
    pub(super) fn check_access(&self) -> Result<(), RpcError> {
        match self.is_revoked() {
            true => Err(Refusal::revoked()),
            false => Ok(()),
        }
    }

    /// Returns whether the client was removed, perhaps to be added again with another secret.
    fn is_revoked(&self) -> bool {
        match self.kind {
            Kind::Personal => {
                self.cluster.client_of(&self.id.digest()).as_ref() != Some(&self.client)
            }
            Kind::Shared => false,
        }
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
        if self.is_revoked() {
            return Ok(Ticket::broken(Refusal::revoked()));
        }
        let Some(reactor) = self.cluster.pool(&pool) else {
            let names: Vec<_> = self
                .cluster
                .pools()
                .keys()
                .map(|name| name.as_str())
                .collect();
            let refusal = Refusal::no_such_pool(Shown(&pool), &names);
            return Ok(Ticket::broken(refusal));
        };
        let (length, size) = (description.length(), description.size());
        let reservation = match self.cluster.quota().take(&self.client, length, size) {
            Ok(reservation) => reservation,
            Err(error) => return Ok(Ticket::broken(error.into())),
        };
        let attached =
            self.cluster
                .durable_jobs()
                .attach(&self.client, &pool, &description, urgent);
        let (resolver, job) = Job::promise();
        let request = Request {
            client: self.client.clone(),
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
            .submit(self.client.clone(), self.peer.clone(), job)
            .await?;
        Ok(DurableJobService::serve(self, submitted))
    }

    async fn find_durable(
        self: Rc<Self>,
        id: String,
        observing: bool,
    ) -> Result<(String, DurableJob), RpcError> {
        let jobs = self.durable_jobs()?;
        let found = jobs.find(&self.client, &id).await?;
        Ok(match observing {
            true => DurableJobService::observed(self, found),
            false => {
                let watching = jobs.watch_from_now_on(found, self.peer.clone());
                DurableJobService::serve(self, watching)
            }
        })
    }

    async fn list_durable(self: Rc<Self>, query: JobQuery) -> Result<JobPage, RpcError> {
        self.durable_jobs()?.list(self.client.clone(), query).await
    }

    async fn save(self: Rc<Self>) -> Result<String, RpcError> {
        if self.is_revoked() {
            return Err(Refusal::revoked());
        }
        Ok(self.cluster.sturdy_ref(self.id.clone()).to_uri())
    }
}
