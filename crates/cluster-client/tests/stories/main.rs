//! A program that submits jobs, with builds that fail, machines that crash and schedulers that restart.

mod attempts;
mod durable;
mod harness;
mod jobs;
mod losses;
