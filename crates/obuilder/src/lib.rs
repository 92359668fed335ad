//! Builds a spec step by step, in a sandbox, with every step cached.
//!
//! A [`Builder`](builder::Builder) walks a spec. What each step does to the root filesystem is kept by a [`store`] under the
//! digest of the step's inputs, its [`StepId`]; commands run in a [`sandbox`]; base images come from a fetcher
//! ([`fetcher`]). Each of the three is a trait, with one file for an implementation.
//!
//! Everything here lives on one thread, which may wait for a disk for a moment: run it on a thread of its own, beside
//! whatever must answer quickly.

pub mod builder;
pub mod copy;
mod excerpt;
pub mod fetcher;
#[doc(hidden)]
pub mod fuzzing;
pub mod image_settings;
pub mod sandbox;
pub mod setup;
pub mod sink;
pub mod step_id;
pub mod store;

pub use fetcher::Fetcher;
pub use image_settings::{BadSetting, ImageSettings};
pub use setup::{Setup, SetupError};
pub use sink::Sink;
pub use step_id::StepId;
pub use visible::Elapsed;
