//! The JSON of OCluster's programs and pages, as types: their comments are its documentation.
//!
//! The form only grows: fields may be added, and none is removed, renamed or given another meaning. Names are in snake
//! case, times in UTC as RFC 3339 has them, lengths of time in seconds.

pub mod audit;
pub mod explanation;
pub mod failure;
pub mod findings;
pub mod jobs;
pub mod kept_jobs;
pub mod outcome;
pub mod phases;
pub mod pools;
mod pools_of;
