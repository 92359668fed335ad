//! How a worker joins its pool, and gets jobs from it: in our way, or in upstream's.

use cluster_api::{
    AttemptName, Description, Job, PopError, PoppedJob, Queue, Registration, Rejoined,
    ReturningWorker, RpcError, RpcErrorKind, Worker,
};
use jobs::AttemptId;
use visible::counted;

use super::Agent;
use crate::outcome::JobError;

/// A registration.
pub(super) struct Joined {
    pub(super) queue: Queue,
    /// Whether the scheduler knows that this worker keeps its durable jobs while it is disconnected.
    pub(super) keeps_jobs: bool,
}

impl Agent {
    /// Registers this worker, with what it has kept if the scheduler knows of that.
    pub(super) async fn join(
        &self,
        registration: &Registration,
        worker: Worker,
    ) -> Result<Joined, RpcError> {
        let name = self.config.name.as_str();
        let capacity = self.config.capacity.value();
        let held = self.kept.held();
        if !held.is_empty() {
            let number = u32::try_from(held.len()).unwrap_or(u32::MAX);
            tracing::info!("Returning with {}", counted(number, "durable job"));
        }
        let returning = ReturningWorker {
            name: name.to_owned(),
            worker: worker.clone(),
            capacity,
            instance: self.instance,
            held,
        };
        match registration.rejoin(returning).await {
            Ok(Rejoined { queue, grace }) => {
                self.kept.connected(grace);
                Ok(Joined {
                    queue,
                    keeps_jobs: true,
                })
            }
            Err(error) if error.kind == RpcErrorKind::Unimplemented => {
                let queue = registration.register(name, worker, capacity).await?;
                Ok(Joined {
                    queue,
                    keeps_jobs: false,
                })
            }
            Err(error) => Err(error),
        }
    }
}

/// Takes a job. The job's client is to learn that its description is bad.
pub(super) async fn pop(
    queue: &Queue,
    job: Job,
    keeps_jobs: bool,
) -> Result<PoppedJob<Result<Description, JobError>>, RpcError> {
    let failed = |error| JobError::failed(PopError::BadDescription(error).to_string());
    if keeps_jobs {
        let PoppedJob {
            description,
            attempt,
        } = queue.pop_durable(job).await?;
        return Ok(PoppedJob {
            description: description.map_err(failed),
            attempt,
        });
    }
    let description = match queue.pop(job).await {
        Ok(description) => Ok(description),
        Err(PopError::BadDescription(error)) => Err(failed(error)),
        Err(PopError::NoJob(error)) => return Err(error),
    };
    Ok(PoppedJob {
        description,
        attempt: None,
    })
}

/// Returns the attempt by which a job is kept; `None` if the scheduler has ids that are not ours.
pub(super) fn attempt_id(attempt: &AttemptName) -> Option<AttemptId> {
    let Ok(job) = attempt.job.parse() else {
        tracing::warn!("Not keeping {attempt}: it has no id of a job");
        return None;
    };
    Some(AttemptId {
        job,
        number: attempt.number,
    })
}
