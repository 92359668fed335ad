//! Where logs are kept that several schedulers can read.

use job_store::log_store::{LogStoreAddress, LogStoreCredentials};

/// Where logs that are whole are kept beside the disk, so that another scheduler can read them.
///
/// Each is an option of `ocluster-scheduler`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStoreSettings {
    /// The store.
    pub address: LogStoreAddress,
    /// What the store asks for.
    pub credentials: LogStoreCredentials,
    /// How much of the disk logs may take that are in the store, in bytes. The oldest are removed first.
    pub cache_bytes: u64,
    /// When workers are told that they need not keep a log any longer.
    pub acknowledge: Acknowledge,
}

/// When workers are told that they need not keep a log any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// When it is on the disk of this scheduler.
    OnDisk,
    /// When it is in the store, so that it is not lost with this scheduler's machine.
    InStore,
}
