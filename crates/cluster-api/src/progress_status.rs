//! The status of a worker that is being drained or updated.

use crate::RpcError;
use crate::raw::extensions_capnp::progress_status::status as raw;
use crate::text::text;

/// The status of a worker that is being drained or updated.
///
/// `Display` writes upstream's text, and `From<String>` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressStatus {
    /// The number of running jobs for which the request waits.
    RunningJobs(u32),
    /// The worker was asked to restart.
    Restarting,
    /// The worker is not connected, so there is nothing to wait for.
    NotConnected,
    /// Another status, as text for people.
    Other(String),
}

impl ProgressStatus {
    pub(crate) fn read(reader: raw::Reader<'_>) -> Result<Self, RpcError> {
        match reader.which() {
            Ok(raw::RunningJobs(jobs)) => Ok(Self::RunningJobs(jobs)),
            Ok(raw::Restarting(())) => Ok(Self::Restarting),
            Ok(raw::NotConnected(())) => Ok(Self::NotConnected),
            Ok(raw::Other(other)) => Ok(Self::Other(text(other, "status")?)),
            // Then the scheduler reports it as text.
            Err(capnp::NotInSchema(tag)) => Err(RpcError::unimplemented(format!(
                "Unknown progress status {tag}"
            ))),
        }
    }

    pub(crate) fn write(&self, mut builder: raw::Builder<'_>) {
        match self {
            Self::RunningJobs(jobs) => builder.set_running_jobs(*jobs),
            Self::Restarting => builder.set_restarting(()),
            Self::NotConnected => builder.set_not_connected(()),
            Self::Other(other) => builder.set_other(other),
        }
    }
}
