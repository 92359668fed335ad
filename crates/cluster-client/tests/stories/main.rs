//! The life of a program that submits jobs: builds that fail, machines that burn down, schedulers that restart.

mod attempts;
mod harness;
mod jobs;
mod losses;
