//! What a fuzzer tries on everything that reads bytes from others.
//!
//! A [`Target`] is a function of bytes that panics when something is wrong that no bytes may cause. LLVM's fuzzer
//! looks for such bytes (`cargo xtask fuzz`), and what it has found and learnt is tried in every run of the tests
//! (`tests/replay.rs`), without it.

mod conversation;
mod input;
mod observer;
mod parties;
mod scratch;
mod script;
mod site;
mod targets;
mod wire;

pub use observer::panics;
pub use targets::{TARGETS, Target, end};
