//! Why a log was not shown to its end.

use cluster_api::RpcError;

use cli::error::CommandError;

/// Why a log was not shown to its end.
pub(super) enum ShowError {
    /// The worker or the scheduler did not send it.
    Log(RpcError),
    /// This program could not write its output.
    Output(CommandError),
}
