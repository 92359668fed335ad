//! Submits jobs to a cluster from Rust and follows them: a connection that reconnects, jobs as futures, logs as
//! streams.
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
//! # Features
//!
//! - **One connection** for all jobs, which reconnects.
//! - **A limit for the queue**: of each pool and urgency, [`Options::max_waiting`] jobs wait at the scheduler, and the
//!   others here. The scheduler keeps all jobs that it knows in memory.
//! - **Retries** after failures that are not the job's fault: a lost worker, one that is shutting down, a restarted
//!   scheduler, a broken connection. A build that failed is never retried. A retried job starts from the beginning,
//!   which its log shows as [`LogEvent::Retrying`].
//! - **Cancellation on drop**: a [`Job`] that is dropped is removed from the queue, or stopped on its worker.
//! - **Its state**: [`Job::attempt`] gives its position in the queue, the reason why it waits, and its worker.
//!
//! # Durable jobs
//!
//! A scheduler of ours can keep jobs ([`Cluster::submit_durable`]): such a job outlives the connections of this
//! program, of its workers and of the scheduler, and so does its log. Its [id](DurableJob::id) can be stored, and
//! another process finds it again ([`Cluster::find_durable`]). Upstream's schedulers cannot
//! ([`DurableError::Unsupported`]).
//!
//! ```no_run
//! # use cluster_api::{Action, Description, DockerBuild, JobRequest};
//! # use cluster_client::{Cluster, LogEvent};
//! # async fn build(cluster: Cluster) -> Result<(), Box<dyn std::error::Error>> {
//! let description = Description::new(Action::Docker(DockerBuild::default()));
//! let job = cluster.submit_durable(&JobRequest::new("linux-x86_64", description.encode()?)).await?;
//! println!("{}", job.id().unwrap_or_default());
//! let mut log = job.log();
//! while let Some(event) = log.next().await? {
//!     print!("{event}");
//! }
//! println!("{:?}", job.ended().await?);
//! # Ok(())
//! # }
//! ```
//!
//! A program that needs none of this submits an [`Attempt`] over its own connection: one job, once.
//!
//! # One thread
//!
//! Capabilities stay on the thread where they were created, and so does everything here. It needs a current-thread
//! Tokio runtime with a `LocalSet`. A program with many threads starts a thread for it, and sends the jobs to that.

mod attempt;
mod cluster;
mod connection;
mod decision;
mod driver;
mod durable;
mod error;
mod job;
mod log;
mod log_reader;
mod options;
mod read_ahead;
mod state;
mod waiting_limit;

pub use attempt::{Attempt, AttemptError, Cancellation, LostPart};
pub use cluster::Cluster;
pub use durable::{DurableError, DurableJob, DurableLog, StatusChanges};
pub use error::JobError;
pub use job::Job;
pub use log::{Log, LogEvent};
pub use log_reader::LogReader;
pub use options::{LossReport, Options, Urgency};
