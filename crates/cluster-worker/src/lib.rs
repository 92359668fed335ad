//! The worker agent: takes jobs from a scheduler, runs them, and lets their clients watch.
//!
//! [`run`] is the whole of it. Inside, `agent` is the loop (room? take a job, run it, again), `job` is one job from its
//! first log line to its last, `source` fetches what it builds, and an [`Executor`](executor::Executor) builds it.

mod cancel;
mod disk;
mod executor;
mod git_url;
mod log;
mod metrics;
mod outcome;
mod process;
mod source;

#[cfg(test)]
mod testing;
