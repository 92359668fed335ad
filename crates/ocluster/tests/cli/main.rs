//! The real programs, as a user runs them: with a cleared environment, real TLS on loopback, and every output looked at.

mod admin;
mod cluster;
mod configuration;
mod ending;
mod harness;
mod help;
mod jobs;
mod logs;
mod mistakes;
mod obuilder;
mod readme;
mod toolbox;
