//! A cluster in one process, for tests: no Docker, no other programs, nothing left behind.
//!
//! A test is a [`story`]. It starts a [`Site`], which is a scheduler in this process, connects [`MockWorker`]s and
//! clients to it over real sockets, and ends with [`Site::finish`], which fails the test if anything is left in the
//! pool, or if an unexpected warning was logged. The jobs of mock workers end as a [`MockBuilder`] decides. For the
//! tests of a real worker there is a [`MockScheduler`] instead.
//!
//! ```
//! use testkit::{BuildOutcome, MockBuilder, MockWorker, Site, Transcript, docker, follow_ticket, story};
//!
//! story(async {
//!     let site = Site::start().await;
//!     let builder = MockBuilder::new();
//!     let worker = MockWorker::start(&site, "w1", 1, &builder).await;
//!     let (client, _connected) = site.client("alice").await;
//!     builder.end("FROM scratch", BuildOutcome::Succeeded("image"));
//!
//!     let ticket = client.submit("pool", &docker("FROM scratch"), false).await.unwrap();
//!     let log = "Building on w1\nBuilding FROM scratch\nJob succeeded\n";
//!     assert_eq!(follow_ticket(&ticket).await, Transcript::new(log, Ok("image")));
//!
//!     drop((ticket, worker));
//!     site.finish().await;
//! });
//! ```
//!
//! A crate that `testkit` itself depends on can use it from its folder `tests/`, and not from its unit tests: those are
//! compiled into a second copy of the crate, whose types are other types.

mod connected;
mod description;
mod log_capture;
mod mock_builder;
mod mock_job;
mod mock_scheduler;
mod mock_worker;
mod progress;
mod site;
mod story;
mod transcript;

pub use self::connected::Connected;
pub use self::description::{custom, docker, docker_with_hint, job_request};
pub use self::log_capture::LogCapture;
pub use self::mock_builder::{BuildOutcome, MockBuilder, PIECE};
pub use self::mock_scheduler::{MockConnection, MockScheduler};
pub use self::mock_worker::{MockWorker, SilentWorker, UpdateReply};
pub use self::progress::ProgressReports;
pub use self::site::{Site, config_in};
#[cfg(feature = "paused-time")]
pub use self::story::{pass_seconds, story_with_paused_time};
pub use self::story::{story, until};
pub use self::transcript::{Transcript, follow, follow_ticket, read_log};
