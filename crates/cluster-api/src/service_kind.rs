//! The kind of service for which a cap file is: cap files are easily mixed up.

use std::fmt;

use capnp::capability::Client;

use crate::raw::schema_capnp::submission;
use crate::{Admin, RpcError, RpcErrorKind};

/// The kind of a scheduler's service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// Administration: `admin.cap`.
    Admin,
    /// Submitting jobs: `submission.cap`, or the cap file of a client.
    Submission,
    /// Registering workers: `pool-NAME.cap`.
    Registration,
}

impl ServiceKind {
    /// Asks `service` for its kind, with calls that change nothing. It works with upstream's schedulers, too.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn of(service: Client) -> Result<Self, RpcError> {
        match Admin::from_client(service.clone()).pools().await {
            Ok(_) => return Ok(Self::Admin),
            Err(error) if error.kind == RpcErrorKind::Unimplemented => {}
            Err(error) => return Err(error),
        }
        // No pool is called "": the answer is a broken ticket.
        let submission = submission::Client { client: service };
        match submission.submit_request().send().promise.await {
            Ok(_) => return Ok(Self::Submission),
            Err(error) if error.kind == capnp::ErrorKind::Unimplemented => {}
            Err(error) if error.kind == capnp::ErrorKind::Disconnected => return Err(error.into()),
            Err(_) => return Ok(Self::Submission),
        }
        // The only other kind. To make sure, a worker would have to be registered.
        Ok(Self::Registration)
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "for administration (admin.cap)",
            Self::Submission => "for submitting jobs (submission.cap, or a client's)",
            Self::Registration => "for the workers of a pool (pool-NAME.cap)",
        })
    }
}
