//! Makes one attempt at a job after the other, until it ends or is cancelled.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{EncodedDescription, RpcError};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};
use vat::{Backoff, Failure};

use crate::cluster::Shared;
use crate::decision::{self, Decision};
use crate::state::{JobState, Stage};
use crate::waiting_limit::WaitingPermit;
use crate::{Attempt, JobError};

/// The longest wait between two attempts at one job, in case each is lost at once.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Makes the attempts at one job.
pub(crate) struct Driver {
    pub(crate) shared: Rc<Shared>,
    pub(crate) pool: String,
    pub(crate) urgent: bool,
    pub(crate) state: watch::Sender<JobState>,
    /// Resolves when the job is cancelled.
    pub(crate) cancelled: oneshot::Receiver<()>,
}

impl Driver {
    pub(crate) async fn run(
        mut self,
        description: Result<EncodedDescription, RpcError>,
    ) -> Result<String, JobError> {
        let (result, stage) = match description {
            Ok(description) => match self.finish(&description).await {
                Ok(finished) => finished,
                Err(error) => (Err(error), Stage::GaveUp),
            },
            Err(error) => (Err(JobError::Refused(error.reason)), Stage::GaveUp),
        };
        self.state.send_modify(|state| state.stage = stage);
        result
    }

    /// Makes attempts until one finishes the job.
    async fn finish(
        &mut self,
        description: &EncodedDescription,
    ) -> Result<(Result<String, JobError>, Stage), JobError> {
        let mut backoff = Backoff::new(RETRY_INTERVAL);
        let mut workers = 0;
        loop {
            let begin = Instant::now();
            let (reason, suspect) = match self.attempt(description).await? {
                Decision::Finish { result, stage } => return Ok((result, stage)),
                Decision::Retry { reason, suspect } => (reason, suspect),
            };
            // Other losses are not the job's fault, however many there are.
            workers += u32::from(suspect);
            if workers >= self.shared.options.max_lost.max(1) {
                return Err(JobError::Lost { workers, reason });
            }
            tracing::warn!("Retrying a job in pool {:?}: {reason}", self.pool);
            self.state.send_modify(|state| {
                state.number += 1;
                state.lost = reason;
                state.job = None;
            });
            // Without chance, it is the shortest wait.
            let chance = getrandom::u64().unwrap_or_default();
            let delay = backoff.next_wait(Failure::NotConnected, begin.elapsed(), chance);
            tokio::select! {
                biased;
                _ = &mut self.cancelled => return Err(JobError::Cancelled),
                () = sleep(delay) => {}
            }
        }
    }

    async fn attempt(&mut self, description: &EncodedDescription) -> Result<Decision, JobError> {
        let (permit, attempt) = tokio::select! {
            biased;
            _ = &mut self.cancelled => return Err(JobError::Cancelled),
            submitted = submit(&self.shared, &self.pool, description, self.urgent) => submitted?,
        };
        let attempt = Rc::new(attempt);
        self.state.send_modify(|state| {
            state.job = Some(attempt.job());
            state.attempt = Rc::downgrade(&attempt);
        });
        tokio::select! {
            biased;
            _ = &mut self.cancelled => {}
            decision = decision::watch(&attempt, permit) => return Ok(decision),
        }
        attempt.cancel().await;
        let output = attempt.output().map(str::to_owned);
        Ok(Decision::Finish {
            stage: match &output {
                Some(_) => Stage::RanToEnd,
                None => Stage::GaveUp,
            },
            result: output.ok_or(JobError::Cancelled),
        })
    }
}

/// Submits the job once there is a connection and a permit for it.
async fn submit(
    shared: &Shared,
    pool: &str,
    description: &EncodedDescription,
    urgent: bool,
) -> Result<(WaitingPermit, Attempt), JobError> {
    let connected = || async {
        let session = shared.connection.session(shared.options.reconnect_timeout);
        session.await.map_err(JobError::NoConnection)
    };
    // Before the permit, so that jobs without a permit give up together with the others.
    connected().await?;
    let permit = shared.waiting.permit(pool, urgent).await;
    let session = connected().await?;
    let attempt = Attempt::submit_encoded(session, pool, description, urgent);
    Ok((permit, attempt))
}
