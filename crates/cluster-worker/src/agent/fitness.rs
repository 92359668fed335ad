//! Pauses of an unfit worker.

use cluster_api::RpcError;
use futures::StreamExt as _;
use futures::future::FutureExt as _;
use futures::stream::FuturesUnordered;
use visible::Lines;

use super::Agent;
use crate::activity::Activity;
use crate::executor::{Fitness, Unfit, other_than, unfit};

impl Agent {
    /// Pauses the worker while it is unfit, also if it has requested a job already. Returns why that failed.
    pub(super) async fn watch_fitness(&self, activity: &Activity<'_>) -> String {
        let watchers = self.runner.fitness().into_iter().map(|mut fitness| {
            async move {
                loop {
                    let reason = unfit(&mut fitness).await;
                    if let Err(error) = pause_while_unfit(activity, &mut fitness, reason).await {
                        return error.to_string();
                    }
                    tracing::info!("System is healthy again; unpausing");
                }
            }
            .boxed_local()
        });
        let mut watchers: FuturesUnordered<_> = watchers.collect();
        match watchers.next().await {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

/// Pauses the worker until it is fit, and reports the reason to the scheduler.
async fn pause_while_unfit(
    activity: &Activity<'_>,
    fitness: &mut Fitness,
    mut reason: Unfit,
) -> Result<(), RpcError> {
    log_unfit(&reason);
    let pause = activity.pause(reason.pause_reason()).await?;
    while let Some(next) = other_than(fitness, &reason).await {
        // A new amount of free space is not worth a line.
        if std::mem::discriminant(&next) != std::mem::discriminant(&reason) {
            log_unfit(&next);
        }
        activity.change(pause, next.pause_reason()).await?;
        reason = next;
    }
    activity.resume(pause).await
}

fn log_unfit(reason: &Unfit) {
    let (problem, advice) = (reason.to_string(), reason.advice());
    let problem = Lines(&problem);
    if advice.is_empty() {
        tracing::warn!("{problem}");
    } else {
        tracing::warn!("Taking no jobs: {problem}; {advice}");
    }
}
