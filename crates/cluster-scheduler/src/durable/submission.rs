//! How a job is submitted: checked, given an id, sealed, and on disk before its client is answered.

use std::collections::BTreeSet;
use std::rc::Rc;

use cluster_api::{EncodedDescription, JobRequest, Label, Refusal, RpcError};
use futures::channel::oneshot;
use job_store::{Details, Reader as _};
use jobs::{JobId, JobKey, NewJob};
use pool::ClientId;
use vat::Peer;
use visible::Shown;

use super::live::Live;
use super::{Answer, DurableJobs, Watching, convert, ending};
use crate::config::PoolName;
use crate::queue_quota::QueueReservation;
use crate::reactor::Reactor;

impl DurableJobs {
    /// A client submits a job, and watches it over its connection from now on. When this returns, the job is on disk.
    pub(crate) async fn submit(
        self: &Rc<Self>,
        client: ClientId,
        peer: Peer,
        request: JobRequest,
    ) -> Result<Watching, RpcError> {
        let pool = self.pools.get(request.pool.as_str()).ok_or_else(|| {
            let names: Vec<_> = self.pools.keys().map(PoolName::as_str).collect();
            Refusal::no_such_pool(Shown(&request.pool), &names)
        })?;
        check_labels(&request.labels)?;
        let description = &request.description;
        let reservation = self
            .quota
            .take(&client, description.length(), description.size());
        let reservation = reservation.map_err(RpcError::from)?;
        let key = request.key.as_deref().map(JobKey::new).transpose();
        let key = key.map_err(|error| RpcError::failed(error.to_string()))?;
        let (new, details) = self.prepare(pool, client, key, &request)?;
        let described = (request.description, reservation);
        self.accept(Rc::clone(pool), described, new, details, Some(peer))
            .await
    }

    /// Accepts a job, unless its client has submitted it before. When this returns, it is on disk.
    ///
    /// With the description comes its place in the quota.
    pub(super) async fn accept(
        self: &Rc<Self>,
        pool: Rc<Reactor>,
        (description, reservation): (EncodedDescription, QueueReservation),
        new: NewJob,
        details: Details,
        peer: Option<Peer>,
    ) -> Result<Watching, RpcError> {
        // From the look at the store to the submission: of two with the same key, one waits for the other.
        let turn = match new.key {
            Some(_) => Some(self.keyed.lock().await),
            None => None,
        };
        if let Some(job) = self.ended_with_key(&new.client, new.key.as_ref()).await? {
            return Ok(self.watch_from_now_on(job, peer));
        }
        let mut live = Live::new(pool, description.size(), 0, self.clock.unix_now());
        live.details = Some(Box::new(details));
        live.description = Some(Box::new(description));
        live.reservation = Some(reservation);
        let (job, answered) = self.add(new, live);
        drop(turn);
        // From here on it is watched, also if the client leaves before it gets the answer.
        let watching = Watching {
            jobs: Rc::clone(self),
            job,
            client: peer,
        };
        answered
            .await
            .unwrap_or_else(|oneshot::Canceled| Err(ending()))
            .map(|_| watching)
    }

    /// Returns a job as it is kept: with an id, and with its description sealed.
    fn prepare(
        &self,
        pool: &Reactor,
        client: ClientId,
        key: Option<JobKey>,
        request: &JobRequest,
    ) -> Result<(NewJob, Details), RpcError> {
        let id = new_id()?;
        let description = &request.description;
        let sealed = self.sealer.seal(id, &description.to_bytes());
        let details = Details {
            description: sealed.map_err(|error| RpcError::failed(error.to_string()))?,
            kind: description.kind()?,
            labels: request
                .labels
                .iter()
                .cloned()
                .map(convert::stored_label)
                .collect(),
        };
        let new = NewJob {
            id,
            client,
            pool: pool.shared_name(),
            hint: pool.hint(description.cache_hint()),
            urgent: request.urgent,
            key,
            terms: convert::terms(request, &self.settings),
        };
        Ok((new, details))
    }

    /// Returns the id of the job, another one if its client has submitted it before, and when it is on disk.
    fn add(&self, new: NewJob, live: Live) -> (JobId, oneshot::Receiver<Answer>) {
        let (request, answered) = self.request();
        let id = new.id;
        self.state.borrow_mut().live.insert(id, Box::new(live));
        let job = self.apply(|jobs, now| jobs.submit(now, new, request));
        if job != id {
            self.state.borrow_mut().live.remove(&id);
        }
        (job, answered)
    }

    async fn ended_with_key(
        &self,
        client: &ClientId,
        key: Option<&JobKey>,
    ) -> Result<Option<JobId>, RpcError> {
        let Some(key) = key.cloned() else {
            return Ok(None);
        };
        if self.state.borrow().jobs.with_key(client, &key).is_some() {
            return Ok(None);
        }
        let client = client.clone();
        self.read(move |reader| reader.with_key(&client, &key))
            .await
    }
}

/// Returns an id that no job has.
pub(super) fn new_id() -> Result<JobId, RpcError> {
    let bits = getrandom::u64();
    let bits = bits.map_err(|error| RpcError::failed(format!("cannot make an id: {error}")))?;
    Ok(JobId::from_bits(bits))
}

/// Checks what finds a job again: a name has one value.
fn check_labels(labels: &[Label]) -> Result<(), RpcError> {
    let mut names = BTreeSet::new();
    match labels.iter().find(|label| !names.insert(&label.name)) {
        Some(twice) => {
            let name = Shown(&twice.name).to_string();
            Err(RpcError::failed(format!(
                "label {name:?} is given twice; give each name one value"
            )))
        }
        None => Ok(()),
    }
}
