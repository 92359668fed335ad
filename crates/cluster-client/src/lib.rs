//! Submits jobs to a cluster from Rust, and sees them through: a connection that comes back, jobs as futures, their
//! logs as streams.
//!
//! ```no_run
//! use cluster_client::{Cluster, LogEvent, Options};
//! # use cluster_api::{Action, Description, DockerBuild};
//!
//! # async fn build() -> Result<(), Box<dyn std::error::Error>> {
//! let sturdy_ref = vat::cap_file::load("submission.cap")?;
//! let cluster = Cluster::connect(sturdy_ref, Options::default()).await?;
//!
//! let description = Description::new(Action::Docker(DockerBuild::default()));
//! let job = cluster.submit("linux-x86_64", &description);
//! let mut log = job.log();
//! while let Some(event) = log.next().await {
//!     match event {
//!         LogEvent::Bytes(bytes) => print!("{}", String::from_utf8_lossy(&bytes)),
//!         event => println!("[{event}]"),
//!     }
//! }
//! println!("built: {}", job.await?);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does for you
//!
//! - **One connection** for everything, made again when it is lost.
//! - **Not too many at once**: of each pool and urgency, [`Options::max_waiting`] jobs wait at the scheduler, and the
//!   others here. The scheduler keeps the jobs that it knows in memory.
//! - **Retries** what is not the job's fault: a worker that is lost or told to end, a restarted scheduler, a broken connection. A build that
//!   failed is never tried again. Such a job begins again from nothing, and [`LogEvent::Retrying`] says so in its log.
//! - **Cancels on drop**: a [`Job`] that is dropped is taken out of the backlog, or stopped on its worker.
//!
//! # One thread
//!
//! Capabilities stay on the thread where they were made, and so does everything here. It needs a current-thread Tokio
//! runtime and a `LocalSet` around it. A program with many threads gives this one of its own, and sends it what to
//! submit.

mod attempt;
mod cluster;
mod connection;
mod error;
mod job;
mod log;
mod log_reader;
mod options;
mod places;
mod read_ahead;

pub use cluster::Cluster;
pub use error::JobError;
pub use job::Job;
pub use log::{Log, LogEvent};
pub use log_reader::LogReader;
pub use options::{Options, Urgency};
