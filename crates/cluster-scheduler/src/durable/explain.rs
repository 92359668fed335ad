//! Why jobs wait.

use cluster_api::{Explanation, RpcError};
use jobs::{Attempt, JobId, Stage};
use visible::Shown;

use super::DurableJobs;
use super::convert::loss_reason;
use crate::attached::AttachedJob;
use crate::details::between;
use crate::explain::{JobFacts, Retry, away, plain, starting, unknown_pool};

impl DurableJobs {
    /// Returns why a job waits, or that it does not.
    pub(crate) async fn explain(&self, job: JobId) -> Result<Explanation, RpcError> {
        if let Some(attached) = self.attached.find(job) {
            return Ok(self.explain_attached(&attached));
        }
        // What is borrowed here is not while a pool is asked: it asks for the facts of the job.
        let stage = self.state.borrow().jobs.stage(job).cloned();
        match stage {
            Some(Stage::Queued { .. }) => Ok(self.explain_queued(job)),
            // No client learns that a worker was chosen until that is on disk.
            Some(Stage::Assigned(_)) => Ok(starting()),
            Some(Stage::Running(attempt)) => Ok(running(&attempt)),
            Some(Stage::Away { attempt, until }) => {
                let (lost, most) = self.attempts(job);
                let remaining = between(self.clock.unix_now(), until);
                Ok(away(attempt.worker.as_str(), remaining, lost, most))
            }
            Some(Stage::Ended { .. }) => Ok(ended()),
            None => self.explain_stored(job).await,
        }
    }

    fn explain_queued(&self, job: JobId) -> Explanation {
        let queued = {
            let state = self.state.borrow();
            let live = state.live.get(&job);
            live.and_then(|live| Some((live.pool.clone(), live.ticket?)))
        };
        let explained = queued.and_then(|(pool, ticket)| pool.explain_queued(ticket));
        explained.unwrap_or_else(starting)
    }

    /// Explains a job that is not among those which this scheduler runs.
    async fn explain_stored(&self, job: JobId) -> Result<Explanation, RpcError> {
        let record = self.record(job).await?;
        let record = record.ok_or_else(|| RpcError::failed("the job is not kept any more"))?;
        Ok(match record.end {
            Some(_) => ended(),
            None => unknown_pool(&Shown(&record.pool).to_string()),
        })
    }

    fn explain_attached(&self, job: &AttachedJob) -> Explanation {
        match job.stage() {
            Stage::Queued { .. } => {
                let ticket = self.attached_ticket(job);
                let explained = ticket.and_then(|(pool, ticket)| pool.explain_queued(ticket));
                explained.unwrap_or_else(starting)
            }
            Stage::Assigned(_) => starting(),
            Stage::Running(attempt) | Stage::Away { attempt, .. } => running(&attempt),
            Stage::Ended { .. } => ended(),
        }
    }

    /// Returns what is known of a job that waits.
    pub(super) fn facts_of(&self, job: JobId) -> JobFacts {
        let state = self.state.borrow();
        let jobs = &state.jobs;
        let terms = jobs.submitted(job).map(|submitted| &submitted.terms);
        let limit = terms.and_then(|terms| terms.queue_limit);
        let queue_limit = match jobs.stage(job) {
            Some(Stage::Queued { since }) => {
                limit.map(|limit| between(self.clock.unix_now(), *since + limit))
            }
            _ => None,
        };
        let losses = jobs.losses(job);
        let retry = losses.last().map(|loss| Retry {
            lost: losses.len(),
            most: terms.map_or(0, |terms| usize::from(terms.attempts.get())),
            worker: loss.worker.clone(),
            reason: Shown(&loss_reason(&loss.reason)).to_string(),
        });
        JobFacts {
            is_kept: true,
            retry,
            queue_limit,
        }
    }

    /// Returns how many attempts of a job were lost, and how many may be.
    fn attempts(&self, job: JobId) -> (usize, usize) {
        let jobs = &self.state.borrow().jobs;
        let terms = jobs.submitted(job).map(|submitted| &submitted.terms);
        let most = terms.map_or(0, |terms| usize::from(terms.attempts.get()));
        (jobs.losses(job).len(), most)
    }
}

fn running(attempt: &Attempt) -> Explanation {
    plain("running", format!("running on {}", attempt.worker))
}

fn ended() -> Explanation {
    plain("ended", "it has ended".to_owned())
}
