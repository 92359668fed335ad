//! The durable jobs of all clients, and the audit log: extensions of a cluster's administration.

mod audit;
mod details;
mod list;
mod server;

use capnp::capability::FromClientHook as _;

use crate::answer::Answer;
use crate::raw::extensions_capnp::jobs_admin;
use crate::text::{malformed, text};
use crate::{Admin, DurableLogChunk};
pub use audit::{AuditEntry, AuditPage, AuditQuery};
pub use details::JobDetails;
pub use list::{AdminJobQuery, ListedJob, ListedJobs};

/// Everybody's durable jobs. Upstream's scheduler answers `Unimplemented`.
impl Admin {
    /// Tells who makes the calls through this handle. It is recorded, and not verified.
    pub fn identify(&self, by: &str) -> Answer<()> {
        let mut request = self.jobs_admin().identify_request();
        request.get().set_by(by);
        Answer::new(
            request.send().promise,
            |_: jobs_admin::identify_results::Reader<'_>| Ok(()),
        )
    }

    /// Returns durable jobs of any client, the latest submission first.
    pub fn list_jobs(&self, query: &AdminJobQuery) -> Answer<ListedJobs> {
        let mut request = self.jobs_admin().list_request();
        if let Err(error) = query.write(request.get().init_query()) {
            return Answer::failed(error);
        }
        Answer::new(request.send().promise, ListedJobs::read)
    }

    /// Returns a durable job by its id, or by the beginning of its id if that is unique.
    pub fn job_details(&self, id: &str) -> Answer<JobDetails> {
        let mut request = self.jobs_admin().job_request();
        request.get().set_id(id);
        Answer::new(
            request.send().promise,
            |results: jobs_admin::job_results::Reader<'_>| {
                JobDetails::read(
                    results
                        .get_job()
                        .map_err(|error| malformed(&error, "job"))?,
                )
            },
        )
    }

    /// Reads the log of an attempt from the offset `start`, and waits until there are bytes. An empty chunk is the end.
    pub fn job_log(&self, id: &str, attempt: u32, start: u64) -> Answer<DurableLogChunk> {
        let mut request = self.jobs_admin().log_request();
        let mut params = request.get();
        params.set_id(id);
        params.set_attempt(attempt);
        params.set_start(start);
        Answer::new(
            request.send().promise,
            |results: jobs_admin::log_results::Reader<'_>| {
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

    /// Cancels a durable job, and returns its whole id once that is on disk.
    pub fn cancel_job(&self, id: &str) -> Answer<String> {
        let mut request = self.jobs_admin().cancel_request();
        request.get().set_id(id);
        Answer::new(
            request.send().promise,
            |results: jobs_admin::cancel_results::Reader<'_>| text(results.get_id(), "id"),
        )
    }

    /// Returns what operators did, the latest first.
    pub fn audit(&self, query: &AuditQuery) -> Answer<AuditPage> {
        let mut request = self.jobs_admin().audit_request();
        query.write(request.get().init_query());
        Answer::new(request.send().promise, AuditPage::read)
    }

    fn jobs_admin(&self) -> jobs_admin::Client {
        self.clone().into_raw().cast_to()
    }
}
