//! A scheduler in this process, with clients and mock workers.

mod attached;
mod attached_cancellation;
mod control;
mod details;
mod durable;
mod durable_queue;
mod durable_restarts;
mod explain;
mod job_operators;
mod job_retention;
mod learning;
mod limits;
mod log_store;
mod metrics;
mod operators;
mod retry;
mod scheduling;
mod services;
mod sharing;
mod startup;
mod stuck;
mod web;
