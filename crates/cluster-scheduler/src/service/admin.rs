//! The whole cluster, as an operator sees it.

use std::rc::Rc;

use cluster_api::{Admin, PoolAdmin, RpcError, ServeAdmin, Submission};

use super::pool_admin::PoolAdminService;
use super::submission::SubmissionService;
use crate::cluster::Cluster;

pub(crate) struct AdminService {
    cluster: Rc<Cluster>,
}

impl AdminService {
    pub(crate) fn serve(cluster: Rc<Cluster>) -> Admin {
        Admin::serve(Rc::new(Self { cluster }))
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
            Some(reactor) => PoolAdminService::serve(Rc::clone(&self.cluster), Rc::clone(reactor)),
            None => PoolAdmin::broken(RpcError::failed("No such pool")),
        })
    }

    async fn add_client(self: Rc<Self>, id: String) -> Result<Submission, RpcError> {
        let added = self.cluster.add_client(&id).await;
        let (client, secret) = added.map_err(|error| RpcError::failed(error.to_string()))?;
        Ok(SubmissionService::personal(
            Rc::clone(&self.cluster),
            client,
            secret,
        ))
    }

    async fn remove_client(self: Rc<Self>, id: String) -> Result<(), RpcError> {
        Rc::clone(&self.cluster).remove_client(&id).await
    }

    async fn list_clients(self: Rc<Self>) -> Result<Vec<String>, RpcError> {
        Ok(self
            .cluster
            .clients()
            .names()
            .map(ToString::to_string)
            .collect())
    }
}
