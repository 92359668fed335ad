//! What others can call: one file for each interface, and [`restore`], by which they are reached.

pub(crate) mod admin;
mod client_access;
mod drain;
mod durable_job;
pub(crate) mod operator;
pub(crate) mod pool_admin;
mod queue;
mod registration;
mod replies;
pub(crate) mod restore;
mod submission;
mod ticket;
mod update;
