//! What others may use of a scheduler.

use cluster_api::MAX_DESCRIPTION_BYTES;

/// What others may use of a scheduler. A farm of 300 machines and 50,000 queued jobs meets none of the defaults.
///
/// A refusal names the limit as the option of `ocluster-scheduler` by which it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of one description, in bytes. More than [`MAX_DESCRIPTION_BYTES`] has no effect.
    pub description_bytes: usize,
    /// How many jobs of one client may wait for a worker, in all pools together.
    pub queued_jobs: usize,
    /// How many bytes the descriptions of one client's waiting jobs may take.
    pub client_queue_bytes: usize,
    /// How many bytes the descriptions of all waiting jobs may take.
    pub queue_bytes: usize,
    /// How many workers a pool remembers, connected or not.
    pub pool_workers: usize,
    /// How many workers may be registered through one connection at a time. Real ones register once.
    pub connection_workers: usize,
    /// The size of a page of a worker's metrics that is passed on, in bytes. More than
    /// [`MAX_METRICS_BYTES`](cluster_api::MAX_METRICS_BYTES) has no effect.
    pub metrics_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            description_bytes: MAX_DESCRIPTION_BYTES,
            queued_jobs: 200_000,
            client_queue_bytes: 512 << 20,
            queue_bytes: 1 << 30,
            pool_workers: 10_000,
            connection_workers: 100,
            metrics_bytes: 4 << 20,
        }
    }
}
