//! Jobs that are submitted again. What did not succeed keeps its sealed description for some time, and no longer.

use std::rc::Rc;
use std::time::Duration;

use cluster_api::{EncodedDescription, Refusal, RpcError};
use job_store::{Details, Reader as _, Sealed, State, Submitted};
use jobs::{JobId, JobKey, NewJob, ReturnTimeouts, Terms, Unwatched};
use vat::Peer;
use visible::{Elapsed, Shown};

use super::submission::new_id;
use super::{DurableJobs, Watching};
use crate::config::PoolName;

/// Returns how often to look for descriptions to wipe, so that none is kept for much longer than it should be.
pub(super) fn wipe_interval(retry_for: Duration) -> Duration {
    (retry_for / 24).clamp(Duration::from_secs(1), Duration::from_secs(3600))
}

impl DurableJobs {
    /// Submits a job again, which its client watches from now on, over its connection if it has one. When this returns,
    /// the new job is on disk.
    pub(crate) async fn retry(
        self: &Rc<Self>,
        job: JobId,
        peer: Option<Peer>,
        key: Option<String>,
        continues: bool,
    ) -> Result<Watching, RpcError> {
        let submitted = self.read(move |reader| reader.submitted(job)).await?;
        let Some(Submitted {
            new,
            kind,
            labels,
            state,
            description,
        }) = submitted
        else {
            return Err(RpcError::failed("the job is not kept any more"));
        };
        let record = self.record(job).await?;
        if record.is_some_and(|record| record.attached) {
            return Err(RpcError::failed(format!(
                "cannot retry job {job}: it is an attached job, whose description is not kept; submit it again"
            )));
        }
        if !self.clients.borrow().may_submit(&new.client) {
            return Err(Refusal::revoked());
        }
        let opened = self.retryable(job, state, description)?;
        let pool = self.pools.get(&*new.pool).ok_or_else(|| {
            let names: Vec<_> = self.pools.keys().map(PoolName::as_str).collect();
            Refusal::no_such_pool(Shown(&new.pool), &names)
        })?;
        let key = key.map(|key| JobKey::new(&key)).transpose();
        let key = key.map_err(|error| RpcError::failed(error.to_string()))?;
        let again = EncodedDescription::from_bytes(&opened)?;
        let reserved = self.quota.take(&new.client, again.length(), again.size());
        let reserved = reserved.map_err(RpcError::from)?;
        let id = new_id()?;
        let sealed = self.sealer.seal(id, &opened);
        let details = Details {
            description: sealed.map_err(|error| RpcError::failed(error.to_string()))?,
            kind,
            labels,
        };
        let new = NewJob {
            id,
            key,
            terms: Terms {
                unwatched: unwatched(
                    continues,
                    new.terms.unwatched,
                    self.settings.return_timeouts(),
                ),
                ..new.terms
            },
            ..new
        };
        self.accept(Rc::clone(pool), (again, reserved), new, details, peer)
            .await
    }

    /// Returns the description of a job that may be submitted again.
    fn retryable(
        &self,
        job: JobId,
        state: State,
        description: Option<Sealed>,
    ) -> Result<Vec<u8>, RpcError> {
        let cannot = |cause: String| RpcError::failed(format!("cannot retry job {job}: {cause}"));
        match (state, description) {
            (State::Queued | State::Running, _) => Err(cannot(
                "it has not ended; cancel it first, or wait for its end".to_owned(),
            )),
            (State::Succeeded, _) => Err(cannot(
                "it succeeded, so its description is not kept; submit it again".to_owned(),
            )),
            (_, None) => Err(cannot(format!(
                "its description was kept for {} after its end (--retry-for); submit it again",
                Elapsed::from_seconds(self.settings.retry_for.as_secs_f64())
            ))),
            (_, Some(sealed)) => {
                let opened = self.sealer.open(job, &sealed);
                opened.map_err(|error| cannot(error.to_string()))
            }
        }
    }

    /// Wipes the descriptions of the jobs that cannot be retried any more.
    pub(super) fn wipe(&self) {
        if let Some(committer) = &*self.committer.borrow() {
            committer.wipe(self.before(self.settings.retry_for));
        }
    }
}

fn unwatched(continues: bool, before: Unwatched, timeouts: ReturnTimeouts) -> Unwatched {
    match before {
        _ if continues => Unwatched::GoesOn,
        Unwatched::GoesOn => Unwatched::Cancelled(timeouts),
        cancelled @ Unwatched::Cancelled(_) => cancelled,
    }
}
