//! Why something about a durable job could not be done.

use std::sync::Arc;

use cluster_api::{RpcError, RpcErrorKind};
use vat::ConnectError;
use visible::OneLine;

/// Why something about a durable job could not be done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DurableError {
    /// The scheduler has no durable jobs: it is upstream's, or an older one.
    #[error("this scheduler does not keep jobs; update it, or submit the job without keeping it")]
    Unsupported,
    /// There was no connection to the scheduler for
    /// [`Options::reconnect_timeout`](crate::Options::reconnect_timeout), or there can be none with this sturdy ref.
    #[error("no connection to the scheduler: {0}")]
    NoConnection(#[source] Arc<ConnectError>),
    /// The scheduler answered with an error.
    #[error("{}", OneLine(&.0.reason))]
    Refused(RpcError),
}

impl From<RpcError> for DurableError {
    fn from(error: RpcError) -> Self {
        match error.kind {
            RpcErrorKind::Unimplemented => Self::Unsupported,
            RpcErrorKind::Failed | RpcErrorKind::Overloaded | RpcErrorKind::Disconnected => {
                Self::Refused(error)
            }
        }
    }
}
