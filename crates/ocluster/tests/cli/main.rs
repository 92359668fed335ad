//! The real programs, as a user runs them: with a cleared environment, real TLS on loopback, and every output looked at.

mod admin;
mod cluster;
mod completion;
mod doctor;
mod errors;
mod harness;
mod help;
mod jobs;
mod json;
mod man;
mod mistakes;
mod obuilder;
mod readme;
mod toolbox;
