//! What a program lives through that submits jobs: builds that fail, machines that burn down, schedulers that restart.

mod harness;

mod jobs;
mod losses;
