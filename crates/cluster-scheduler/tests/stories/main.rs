//! A scheduler in this process, with clients and mock workers.

mod control;
mod details;
mod durable;
mod durable_restarts;
mod limits;
mod metrics;
mod operators;
mod scheduling;
mod services;
mod startup;
mod stuck;
