//! The real programs, as a user runs them: with a cleared environment, real TLS on loopback, and every output looked
//! at.

mod admin;
mod admin_clients;
mod attached;
mod cluster;
mod completion;
mod configuration;
mod doctor;
mod durable;
mod durable_jobs;
mod ending;
mod errors;
mod exit_codes;
mod farm;
mod harness;
mod help;
mod jobs;
mod json;
mod logs;
mod man;
mod mistakes;
mod obuilder;
mod operators;
mod readme;
mod terminals;
mod toolbox;
