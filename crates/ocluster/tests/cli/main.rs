//! The real programs, as a user runs them: with a cleared environment, real TLS on loopback, and every output looked at.

mod admin;
mod cluster;
mod harness;
mod help;
mod jobs;
mod json;
mod mistakes;
mod obuilder;
mod readme;
mod toolbox;
