//! The jobs of all clients: `jobs`, `job` and `job-log`.

mod filter;
pub(super) mod job_name;
pub(super) mod known_job;
pub(super) mod list;
pub(super) mod log;
pub(super) mod show;
