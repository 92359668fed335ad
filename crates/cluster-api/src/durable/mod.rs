//! Durable jobs: jobs that outlive connections, submitted through a client's [`Submission`].

mod details;
mod list;
mod request;
mod server;
mod status;

use capnp::capability::{FromClientHook as _, Request};

use crate::answer::{Answer, Pipelined};
use crate::dispatch;
use crate::handle::{Served, handle};
use crate::raw::extensions_capnp::durable_jobs::{find_params, find_results};
use crate::raw::extensions_capnp::{durable_job, durable_jobs, extended_durable_job};
use crate::text::{malformed, returned, text};
use crate::{RpcError, Submission};
pub use details::{AttemptResult, DurableAttempt, DurableAttemptEnd, DurableDetails};
pub use list::{JobPage, JobQuery, JobState, JobSummary};
pub use request::{JobRequest, Label, MAX_LABELS, MAX_NAME_BYTES, ReturnTimeouts, Unwatched};
pub use server::ServeDurableJob;
pub use status::{DurableOutcome, DurableStage, DurableStatus, LostAttempt};
use std::rc::Rc;

handle! {
    /// A reference to a durable job, which is watched as long as there is one. Dropping the last one does not cancel
    /// the job; see [`Unwatched`].
    DurableJob, crate::raw::extensions_capnp::durable_job
}

/// A call that finds a job.
type FindRequest = Request<find_params::Owned, find_results::Owned>;

/// A piece of the log of a durable job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableLogChunk {
    /// The bytes. Empty at the end of the log, and only there.
    pub bytes: Vec<u8>,
    /// The offset of the next chunk, in bytes.
    pub next: u64,
}

/// Durable jobs, as extensions of a client's endpoint. Upstream's scheduler answers `Unimplemented`.
impl Submission {
    /// Submits a job, and returns its id once the job is on disk.
    pub fn submit_durable(&self, job: &JobRequest) -> Answer<(String, DurableJob)> {
        let client: durable_jobs::Client = self.clone().into_raw().cast_to();
        let mut request = client.submit_request();
        if let Err(error) = job.write(request.get().init_request()) {
            return Answer::failed(error);
        }
        Answer::new(
            request.send().promise,
            |results: durable_jobs::submit_results::Reader<'_>| {
                let job = DurableJob::from_raw(returned(results.get_job(), "job")?);
                Ok((text(results.get_id(), "id")?, job))
            },
        )
    }

    /// Returns a job of this client by its id, or by the beginning of its id if that is unique. It is watched as long
    /// as there is a reference to it.
    pub fn find_durable(&self, id: &str) -> Pipelined<DurableJob> {
        self.find(id, false)
    }

    /// Returns a job like [`find_durable`](Self::find_durable), but without watching it: when it has no other watcher,
    /// it may be cancelled.
    pub fn observe_durable(&self, id: &str) -> Pipelined<DurableJob> {
        self.find(id, true)
    }

    fn find(&self, id: &str, observing: bool) -> Pipelined<DurableJob> {
        let sent = self.find_request(id, observing).send();
        let job = DurableJob::from_raw(sent.pipeline.get_job());
        let answer = Answer::new(sent.promise, |results: find_results::Reader<'_>| {
            Ok(DurableJob::from_raw(returned(results.get_job(), "job")?))
        });
        Pipelined::new(job, answer)
    }

    /// Returns a job like [`find_durable`](Self::find_durable) or, if it is only `observing`, like
    /// [`observe_durable`](Self::observe_durable), with the whole of its id.
    pub fn find_with_id(&self, id: &str, observing: bool) -> Answer<(String, DurableJob)> {
        let sent = self.find_request(id, observing).send();
        Answer::new(sent.promise, |results: find_results::Reader<'_>| {
            let job = DurableJob::from_raw(returned(results.get_job(), "job")?);
            Ok((text(results.get_id(), "id")?, job))
        })
    }

    fn find_request(&self, id: &str, observing: bool) -> FindRequest {
        let client: durable_jobs::Client = self.clone().into_raw().cast_to();
        let mut request = client.find_request();
        request.get().set_id(id);
        request.get().set_observing(observing);
        request
    }

    /// Returns jobs of this client, the latest submission first.
    pub fn list_durable(&self, query: &JobQuery) -> Answer<JobPage> {
        let client: durable_jobs::Client = self.clone().into_raw().cast_to();
        let mut request = client.list_request();
        if let Err(error) = query.write(request.get().init_query()) {
            return Answer::failed(error);
        }
        Answer::new(request.send().promise, JobPage::read)
    }
}

impl DurableJob {
    /// Serves `job`, together with our extensions, such as [`DurableJob::explain`]. [`ServeDurableJob::released`] is
    /// called when the returned handle and all its clones are dropped.
    pub fn serve<S: ServeDurableJob>(job: Rc<S>) -> Self {
        let client: extended_durable_job::Client =
            dispatch::new_client(Served::new(job, S::released));
        Self::from_raw(client.cast_to())
    }

    /// Returns the status of the job.
    pub fn status(&self) -> Answer<DurableStatus> {
        let sent = self.client.status_request().send();
        Answer::new(
            sent.promise,
            |results: durable_job::status_results::Reader<'_>| {
                DurableStatus::read(
                    results
                        .get_status()
                        .map_err(|error| malformed(&error, "status"))?,
                )
            },
        )
    }

    /// Waits until the status has a later version than this, and returns it.
    pub fn watch(&self, version: u64) -> Answer<DurableStatus> {
        let mut request = self.client.watch_request();
        request.get().set_version(version);
        Answer::new(
            request.send().promise,
            |results: durable_job::watch_results::Reader<'_>| {
                DurableStatus::read(
                    results
                        .get_status()
                        .map_err(|error| malformed(&error, "status"))?,
                )
            },
        )
    }

    /// Reads the log of an attempt from the offset `start`, and waits until there are bytes.
    pub fn log(&self, attempt: u32, start: u64) -> Answer<DurableLogChunk> {
        let mut request = self.client.log_request();
        request.get().set_attempt(attempt);
        request.get().set_start(start);
        Answer::new(
            request.send().promise,
            |results: durable_job::log_results::Reader<'_>| {
                let bytes = results
                    .get_log()
                    .map_err(|error| malformed(&error, "log"))?
                    .to_vec();
                Ok(DurableLogChunk {
                    bytes,
                    next: results.get_next(),
                })
            },
        )
    }

    /// Cancels the job. The answer arrives when that is on disk: then the job does not succeed any more.
    pub fn cancel(&self) -> Answer<()> {
        let sent = self.client.cancel_request().send();
        Answer::new(
            sent.promise,
            |_: durable_job::cancel_results::Reader<'_>| Ok(()),
        )
    }
}

/// Calls that not every scheduler with durable jobs knows.
impl DurableJob {
    /// Submits the job again: a new one with the same description, labels and limits, which is watched. `continues`: it
    /// continues when it is not watched any more; otherwise it is cancelled then. The same key again is the same job.
    pub fn retry(&self, key: Option<&str>, continues: bool) -> Answer<(String, Self)> {
        let mut request = self.client.retry_request();
        request.get().set_key(key.unwrap_or_default());
        request.get().set_continues(continues);
        Answer::new(
            request.send().promise,
            |results: durable_job::retry_results::Reader<'_>| {
                let job = Self::from_raw(returned(results.get_job(), "job")?);
                Ok((text(results.get_id(), "id")?, job))
            },
        )
    }

    /// Returns the `capnp://` URI of a capability that shows this job and cannot change it. It is a secret.
    pub fn share(&self) -> Answer<String> {
        let sent = self.client.share_request().send();
        Answer::new(
            sent.promise,
            |results: durable_job::share_results::Reader<'_>| {
                text(results.get_sturdy_ref(), "sturdyRef")
            },
        )
    }

    /// Returns what is known of the job, but for its description.
    pub fn describe(&self) -> Answer<DurableDetails> {
        let sent = self.client.describe_request().send();
        Answer::new(
            sent.promise,
            |results: durable_job::describe_results::Reader<'_>| {
                let details = results.get_details();
                DurableDetails::read(details.map_err(|error| malformed(&error, "details"))?)
            },
        )
    }
}

/// The error of a scheduler that keeps no jobs.
pub(crate) fn not_kept() -> RpcError {
    RpcError::unimplemented("this scheduler does not keep jobs")
}
