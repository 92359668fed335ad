//! The worker's capability: metrics, updates and the cancellation of jobs, as the scheduler calls them.

use std::convert::Infallible;
use std::rc::Rc;

use cluster_api::{Metric, MetricsSource, RpcError, ServeWorker};

use super::{Agent, Exit};
use crate::connection_jobs::ConnectionJobs;
use crate::executor::Unfit;
use crate::metrics::{self, Reading};
use crate::metrics_url::MetricsUrl;
use crate::scrape::scrape;
use crate::update::UpdateError;

/// The worker as its scheduler sees it.
pub(super) struct WorkerObject {
    pub(super) agent: Rc<Agent>,
    /// The jobs of this connection.
    pub(super) jobs: ConnectionJobs,
}

impl ServeWorker for WorkerObject {
    async fn metrics(self: Rc<Self>, source: MetricsSource) -> Result<Metric, RpcError> {
        let agent = &self.agent;
        match source {
            MetricsSource::Agent => {
                let machine = agent.machine.read(&agent.runner.executors).await;
                let reading = Reading {
                    load: agent.running.load(),
                    capacity: agent.capacity(),
                    builder: agent.builder_stats.as_ref().map(|stats| *stats.borrow()),
                    unfit: agent.runner.unfit().iter().map(Unfit::kind).collect(),
                    machine,
                    cpu: prometheus_text::cpu_time(),
                };
                Ok(Metric {
                    content_type: metrics::CONTENT_TYPE.to_owned(),
                    data: agent.stats.text(&reading),
                })
            }
            MetricsSource::Host => {
                let metric = scrape("prometheus-node-exporter", &MetricsUrl::node_exporter()).await;
                metric.map_err(|error| RpcError::failed(error.to_string()))
            }
        }
    }

    async fn self_update(self: Rc<Self>) -> Result<Infallible, RpcError> {
        let agent = &self.agent;
        tracing::info!("Self-update requested.");
        let failed = |error: UpdateError| RpcError::failed(error.to_string());
        let update = agent.updater.fetch().await.map_err(failed)?;
        tracing::info!("Waiting for all existing jobs to complete.");
        agent.running.idle().await;
        tokio::time::sleep(agent.update_pause).await;
        tracing::info!("All jobs finished. Updating...");
        agent.updater.apply(&update).await.map_err(failed)?;
        tokio::time::sleep(agent.update_pause).await;
        agent.end(Exit::Updated);
        // There is no answer: the scheduler sees the connection end.
        std::future::pending().await
    }

    async fn additional_metric(self: Rc<Self>, source: String) -> Result<Option<Metric>, RpcError> {
        match self.agent.config.additional_metrics.get(&source) {
            None => Ok(None),
            Some(url) => {
                let metric = scrape(&source, url).await;
                Ok(Some(
                    metric.map_err(|error| RpcError::failed(error.to_string()))?,
                ))
            }
        }
    }

    async fn version(self: Rc<Self>) -> Result<String, RpcError> {
        Ok(env!("CARGO_PKG_VERSION").to_owned())
    }

    async fn cancel_job(self: Rc<Self>, nth: u64) -> Result<(), RpcError> {
        match self.jobs.cancel(nth) {
            true => Ok(()),
            false => Err(RpcError::failed(format!(
                "job {nth} of this connection is not running"
            ))),
        }
    }
}
