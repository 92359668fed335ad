//! A scheduler in this process, with clients and mock workers.

mod attached;
mod control;
mod details;
mod durable;
mod durable_queue;
mod limits;
mod metrics;
mod operators;
mod scheduling;
mod services;
mod startup;
mod stuck;
