//! A scheduler in this process, its clients and workers beside it, and what they live through together.

mod harness;

mod control;
mod details;
mod limits;
mod metrics;
mod operators;
mod scheduling;
mod services;
mod startup;
mod stuck;
