//! Commands in real containers of each runtime, which must all behave the same.

mod endings;
mod environment;
mod escapes;
mod leftovers;
mod room;
mod runtimes;
mod secrets_and_caches;

use room::for_each_runtime;
