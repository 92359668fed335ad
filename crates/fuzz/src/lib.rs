//! Fuzz targets for all code that reads untrusted bytes.
//!
//! A [`Target`] is a function of bytes that panics if it finds an error. LLVM's fuzzer searches for such bytes (`cargo
//! xtask fuzz`). Every run of the tests tries the inputs that it has found (`tests/replay.rs`), without the fuzzer.

mod conversation;
mod dial;
mod durable;
mod input;
mod kept_work;
mod observer;
mod parties;
mod party;
mod returning;
mod scratch;
mod script;
mod site;
mod targets;
mod wire;

pub use observer::panics;
pub use targets::{TARGETS, Target, end};
