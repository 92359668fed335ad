//! Commands in real containers, made by each runtime in turn, which must not be told apart.

mod endings;
mod escapes;
mod gifts;
mod leftovers;
mod room;
mod runtimes;
mod surroundings;

use room::for_each_runtime;
