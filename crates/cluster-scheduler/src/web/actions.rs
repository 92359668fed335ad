//! What visitors do: the same as over the wire, and recorded like that.

use std::rc::Rc;

use cluster_api::{NewPause, RpcError, ServeAdmin as _, ServePoolAdmin as _};
use cluster_web::ClusterError;
use cluster_web::access::Role;
use cluster_web::cluster::{Action, Actor};

use super::service::{WebService, refused};
use crate::service::admin::AdminService;
use crate::service::operator::{self, Operator};
use crate::service::pool_admin::PoolAdminService;

impl WebService {
    /// Does something for a visitor who may do it, and returns the id of the job that it is about, or nothing.
    pub(super) async fn act(&self, actor: Actor, action: Action) -> Result<String, ClusterError> {
        let done = self.perform(actor, action).await;
        // The next page shows what it has changed.
        self.pools.forget();
        done
    }

    async fn perform(&self, actor: Actor, action: Action) -> Result<String, ClusterError> {
        match action {
            Action::Cancel { job } => self.cancel(&actor, &job).await,
            Action::Retry { job } => self.retry(&actor, &job).await,
            Action::Pause { pool, worker, note } => {
                let pause = NewPause {
                    by: actor.holder.by.clone(),
                    note,
                    auto_create: false,
                    until_reconnect: false,
                };
                let pool = self.pool_admin(&actor, &pool)?;
                let paused = pool.pause(worker, pause).await;
                paused.map(|()| String::new()).map_err(refused)
            }
            Action::Unpause { pool, worker } => {
                let pool = self.pool_admin(&actor, &pool)?;
                let ended = pool.set_active(worker, true, false).await;
                ended.map(|()| String::new()).map_err(refused)
            }
        }
    }

    async fn cancel(&self, actor: &Actor, job: &str) -> Result<String, ClusterError> {
        let found = self.find(job).await?;
        match actor.holder.role {
            Role::Admin => {
                let operator = self.operator(actor);
                let admin = AdminService::of_pages(Rc::clone(&self.cluster), operator);
                let cancelled = admin.cancel_job(found.to_string()).await;
                cancelled.map_err(refused)
            }
            Role::Client { .. } | Role::Job { .. } => {
                self.jobs.cancel(found).await.map_err(refused)?;
                Ok(found.to_string())
            }
        }
    }

    /// Submits a job again, for its client. No browser watches it, so it goes on without.
    async fn retry(&self, actor: &Actor, job: &str) -> Result<String, ClusterError> {
        let found = self.find(job).await?;
        let retry = async {
            let submitted = self.jobs.retry(found, None, None, true).await?;
            Ok::<_, RpcError>(submitted.job.to_string())
        };
        let retried = match actor.holder.role {
            Role::Admin => {
                let object = format!("job {found}");
                let action = operator::Action {
                    word: "retry",
                    object: &object,
                    ..operator::Action::default()
                };
                self.operator(actor).audited(action, retry).await
            }
            Role::Client { .. } | Role::Job { .. } => retry.await,
        };
        retried.map_err(refused)
    }

    fn operator(&self, actor: &Actor) -> Rc<Operator> {
        let operator = Operator::of_pages(actor.address.clone(), Rc::clone(&self.jobs));
        operator.identify(actor.holder.by.clone());
        operator
    }

    fn pool_admin(&self, actor: &Actor, pool: &str) -> Result<Rc<PoolAdminService>, ClusterError> {
        let unknown = || ClusterError::NotFound("There is no such pool.".to_owned());
        let reactor = self.cluster.pool(pool).ok_or_else(unknown)?;
        Ok(PoolAdminService::new(
            Rc::clone(&self.cluster),
            Rc::clone(reactor),
            self.operator(actor),
        ))
    }
}
