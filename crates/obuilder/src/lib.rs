//! Builds a spec step by step, in a sandbox, with every step cached.
//!
//! A [`Builder`](builder::Builder) walks a spec. A [`store`] keeps the result of each step, its root filesystem, under
//! the digest of the step's inputs, its [`StepId`]. Commands run in a [`sandbox`], and base images come from a
//! [`fetcher`]. Each of the three is a trait, with one file for an implementation.
//!
//! This store keeps results as plain copies, and the base image was imported:
//!
//! ```
//! # use std::cell::RefCell;
//! # use std::rc::Rc;
//! #
//! # use bstr::{BStr, BString};
//! # use futures::future::LocalBoxFuture;
//! # use obuilder::builder::BuildLog;
//! use obuilder::Setup;
//! use obuilder::builder::Context;
//! use obuilder::sandbox::{Runtime, SandboxOptions};
//! use obuilder::store::{RsyncMode, StoreSpec};
//! use obuilder_spec::Spec;
//!
//! # /// A log in memory.
//! # #[derive(Default)]
//! # struct MemoryLog(RefCell<BString>);
//! #
//! # impl BuildLog for MemoryLog {
//! #     fn heading(&self, text: &BStr) -> std::io::Result<()> {
//! #         self.note(&text.to_string())
//! #     }
//! #     fn note(&self, text: &str) -> std::io::Result<()> {
//! #         self.0.borrow_mut().extend_from_slice(format!("{text}\n").as_bytes());
//! #         Ok(())
//! #     }
//! #     fn output<'a>(&'a self, bytes: &'a [u8]) -> LocalBoxFuture<'a, std::io::Result<()>> {
//! #         self.0.borrow_mut().extend_from_slice(bytes);
//! #         Box::pin(async { Ok(()) })
//! #     }
//! # }
//! #
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let source = folder.path().join("source");
//! # std::fs::create_dir(&source)?;
//! # std::fs::write(source.join("hello.txt"), "hello")?;
//! # let location = format!("rsync:{}", folder.path().join("store").display());
//! # let log = Rc::new(MemoryLog::default());
//! let setup = Setup {
//!     store: StoreSpec::new(Some(location.parse()?), Some(RsyncMode::Copy))?,
//!     runtime: Runtime::DEFAULT.into(),
//!     sandbox: SandboxOptions::default(),
//!     registries: "".parse()?,
//!     env: std::env::vars_os().collect(),
//!     shared: None,
//! };
//! let builder = setup.open()?;
//! # let tree = folder.path().join("tree");
//! # std::fs::create_dir_all(tree.join("etc"))?;
//! # let archive = folder.path().join("base.tar");
//! # oci::export::write_tar(&tree, &mut std::fs::File::create(&archive)?)?;
//! # oci::Library::new(builder.store().state_dir()).import(&oci::Import {
//! #     name: "base",
//! #     path: &archive,
//! #     platform: &oci::Platform::here(),
//! #     when: "2026-11-25 10:00:00".to_owned(),
//! # })?;
//! let spec = Spec::parse(b"((from base) (copy (src hello.txt) (dst /)))", "build.spec")?;
//! let id = builder.build(&Context::new(source, log.clone()), &spec).await?;
//!
//! let result = builder.store().view(&id).await?;
//! assert_eq!(std::fs::read_to_string(result.rootfs().join("hello.txt"))?, "hello");
//! assert!(log.0.borrow().ends_with(format!("---> saved as \"{id}\"\n").as_bytes()));
//! # assert!(builder.log_file(&id)?.is_some_and(|file| file.exists()));
//! # Ok(())
//! # }
//! #
//! # // Only root can give files to the users of containers, and this kind of store needs rsync.
//! # if rig::is_root() && rig::find_program("rsync").is_some() {
//! #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! #     tokio::task::LocalSet::new().block_on(&runtime, example()).unwrap();
//! # }
//! ```
//!
//! A builder and its futures live on one thread, which may wait for a disk for a moment. Run it on a thread of its own,
//! apart from code that must respond quickly.

pub mod builder;
pub mod copy;
mod excerpt;
pub mod fetcher;
#[doc(hidden)]
pub mod fuzzing;
pub mod image_settings;
pub mod sandbox;
pub mod setup;
pub mod shared;
pub mod sink;
pub mod step_id;
pub mod store;

pub use fetcher::Fetcher;
pub use image_settings::{BadSetting, ImageSettings};
pub use setup::{Setup, SetupError};
pub use sink::Sink;
pub use step_id::StepId;
