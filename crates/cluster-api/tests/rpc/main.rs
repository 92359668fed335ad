//! The handles and traits over real connections, in one process and without sockets.

mod admin;
mod durable;
mod errors;
mod explanations;
mod jobs_admin;
mod logs;
mod outcomes;
mod pipe;
mod pipelining;
mod promises;
mod rejoin;
mod release;
mod support;
mod weak;
