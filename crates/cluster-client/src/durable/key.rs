//! Keys of submissions, so that one whose answer was lost makes no second job.

use cluster_api::RpcError;

use super::DurableError;

/// Returns a key that no other submission has.
pub(super) fn random_key() -> Result<String, DurableError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| RpcError::failed(format!("cannot make a key: {error}")))?;
    Ok(format!("random-{:032x}", u128::from_be_bytes(bytes)))
}
