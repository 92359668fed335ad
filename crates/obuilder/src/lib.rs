//! Builds a spec step by step, in a sandbox, with every step cached.
//!
//! A [`Builder`](builder::Builder) walks a spec. What each step does to the root filesystem is kept by a [`store`] under the
//! digest of the step's inputs, its [`StepId`]; commands run in a [`sandbox`]; base images come from a fetcher
//! ([`fetcher`]). Each of the three is a trait, with one file for an implementation.
//!
//! ```no_run
//! use std::path::PathBuf;
//! use std::rc::Rc;
//!
//! use obuilder::Setup;
//! use obuilder::builder::{BuildLog, Context};
//! use obuilder_spec::Spec;
//!
//! /// Builds a spec from the files in `source`, and returns what its last step printed.
//! async fn build(setup: Setup, source: PathBuf, log: Rc<dyn BuildLog>) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let builder = setup.open()?;
//!     let spec = Spec::parse(b"((from busybox) (run (shell \"echo hello\")))", "build.spec")?;
//!     let id = builder.build(&Context::new(source, log), &spec).await?;
//!     let file = builder.log_file(&id)?.ok_or("the result has just been removed")?;
//!     Ok(std::fs::read(file)?)
//! }
//! ```
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
