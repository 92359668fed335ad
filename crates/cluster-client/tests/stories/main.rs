//! A program that submits jobs, with builds that fail, machines that crash and schedulers that restart.

mod attempts;
mod calls;
mod durable;
mod harness;
mod jobs;
mod losses;
