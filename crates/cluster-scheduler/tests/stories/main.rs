//! A scheduler in this process, with clients and mock workers.

mod control;
mod details;
mod durable;
mod limits;
mod metrics;
mod operators;
mod retry;
mod scheduling;
mod services;
mod sharing;
mod startup;
mod stuck;
