//! The one thread that a program runs on.

use std::future::Future;

use crate::error::CommandError;

/// Runs `main` on the current thread, where everything that holds a capability stays.
///
/// # Errors
/// The error of `main`, or an internal error if there can be no runtime.
pub fn block_on<T>(main: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CommandError::internal(format_args!("cannot start the runtime: {error}"))
        })?;
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, main);
    // Standard input or output may be stuck in a blocking call, which must not prevent the exit.
    runtime.shutdown_background();
    outcome
}
