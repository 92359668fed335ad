//! Lists of the durable jobs of all clients.

use crate::raw::extensions_capnp::jobs_admin::{list_results, listed, query};
use crate::text::{check_length, list_length, malformed, text};
use crate::{JobQuery, JobSummary, RpcError};

/// Which jobs to list: those that have all of what is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminJobQuery {
    /// As a client asks for its own jobs.
    pub jobs: JobQuery,
    /// Those of this client; of any, if it is `None`.
    pub client: Option<String>,
    /// Those for this pool; for any, if it is `None`.
    pub pool: Option<String>,
}

/// A job in a list of all clients' jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedJob {
    /// As its client lists it.
    pub summary: JobSummary,
    /// The client that submitted it.
    pub client: String,
}

/// Some jobs, the latest submission first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedJobs {
    /// The jobs. There may be fewer than were requested although more exist.
    pub jobs: Vec<ListedJob>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<u64>,
}

impl AdminJobQuery {
    pub(super) fn read(reader: query::Reader<'_>) -> Result<Self, RpcError> {
        let jobs = reader
            .get_jobs()
            .map_err(|error| malformed(&error, "query.jobs"))?;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            jobs: JobQuery::read(jobs)?,
            client: given(text(reader.get_client(), "query.client")?),
            pool: given(text(reader.get_pool(), "query.pool")?),
        })
    }

    pub(super) fn write(&self, mut builder: query::Builder<'_>) -> Result<(), RpcError> {
        let Self { jobs, client, pool } = self;
        builder.set_client(client.as_deref().unwrap_or_default());
        builder.set_pool(pool.as_deref().unwrap_or_default());
        jobs.write(builder.init_jobs())
    }
}

impl ListedJobs {
    pub(super) fn read(reader: list_results::Reader<'_>) -> Result<Self, RpcError> {
        let jobs = reader
            .get_jobs()
            .map_err(|error| malformed(&error, "jobs"))?;
        check_length(reader.total_size(), jobs.len(), "jobs")?;
        Ok(Self {
            jobs: jobs.iter().map(ListedJob::read).collect::<Result<_, _>>()?,
            next: Some(reader.get_next()).filter(|next| *next != 0),
        })
    }

    pub(super) fn write(&self, mut builder: list_results::Builder<'_>) -> Result<(), RpcError> {
        builder.set_next(self.next.unwrap_or(0));
        let mut jobs = builder.init_jobs(list_length(&self.jobs, "jobs")?);
        for (index, job) in (0..).zip(&self.jobs) {
            let mut listed = jobs.reborrow().get(index);
            listed.set_client(&job.client);
            job.summary.write(listed.init_summary())?;
        }
        Ok(())
    }
}

impl ListedJob {
    fn read(reader: listed::Reader<'_>) -> Result<Self, RpcError> {
        let summary = reader
            .get_summary()
            .map_err(|error| malformed(&error, "job.summary"))?;
        Ok(Self {
            summary: JobSummary::read(summary)?,
            client: text(reader.get_client(), "job.client")?,
        })
    }
}
