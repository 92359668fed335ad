//! What is known of a job, for operators.

use crate::raw::extensions_capnp::jobs_admin::details;
use crate::text::{malformed, text};
use crate::{DurableDetails, RpcError};

/// What is known of a job, but for its description, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDetails {
    /// What its client sees of it.
    pub job: DurableDetails,
    /// The client that submitted it.
    pub client: String,
    /// Its cache hint; empty for none.
    pub cache_hint: String,
}

impl JobDetails {
    pub(super) fn read(reader: details::Reader<'_>) -> Result<Self, RpcError> {
        let job = reader
            .get_job()
            .map_err(|error| malformed(&error, "job.job"))?;
        Ok(Self {
            job: DurableDetails::read(job)?,
            client: text(reader.get_client(), "job.client")?,
            cache_hint: text(reader.get_cache_hint(), "job.cacheHint")?,
        })
    }

    pub(super) fn write(self, mut builder: details::Builder<'_>) -> Result<(), RpcError> {
        let Self {
            job,
            client,
            cache_hint,
        } = self;
        builder.set_client(&client);
        builder.set_cache_hint(&cache_hint);
        job.write(builder.init_job())
    }
}
