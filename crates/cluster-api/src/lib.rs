//! The wire types of OCluster: typed handles, and traits to serve them.
//!
//! Each interface of `api/schema.capnp` has its own file, with a *handle* to call it ([`Job`], [`Ticket`], …) and a
//! *trait* to serve it ([`ServeJob`], [`ServeTicket`], …). `JobDescr` is the plain value [`Description`], or an
//! [`EncodedDescription`] for programs that only pass it on.
//!
//! - A method of a handle sends its call before it returns. It returns an [`Answer`], which can be awaited or kept;
//!   dropping it cancels the call.
//! - If the answer is another capability, the method returns a [`Pipelined`] handle, which can be called at once.
//! - An object lives as long as there is a handle to it. Dropping the last handle cancels a job, releases a ticket,
//!   unregisters a worker.
//!
//! No generated type leaves this crate, and it uses no sockets or files.
//!
//! # Example
//!
//! A submission, as a scheduler serves it and a client uses it. Here both are in one process; `vat` connects them over
//! a network.
//!
//! ```
//! use std::rc::Rc;
//!
//! use cluster_api::{
//!     Action, CustomJob, CustomPayload, Description, EncodedDescription, Refusal, RpcError, ServeSubmission,
//!     Submission, Ticket,
//! };
//!
//! /// A scheduler without pools.
//! struct Scheduler;
//!
//! impl ServeSubmission for Scheduler {
//!     async fn submit(
//!         self: Rc<Self>,
//!         pool: String,
//!         description: EncodedDescription,
//!         _urgent: bool,
//!     ) -> Result<Ticket, RpcError> {
//!         assert_eq!(description.cache_hint(), "project");
//!         Err(Refusal::no_such_pool(pool, &[]))
//!     }
//! }
//!
//! # fn main() -> Result<(), RpcError> {
//! let job = CustomJob {
//!     kind: "deploy".to_owned(),
//!     payload: CustomPayload::from_text("production")?,
//! };
//! let mut description = Description::new(Action::Custom(job));
//! description.cache_hint = "project".to_owned();
//! assert_eq!(description.encode()?.decode()?, description);
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! tokio::task::LocalSet::new().block_on(&runtime, async {
//!     let submission = Submission::serve(Rc::new(Scheduler));
//!     // All calls are sent before the first answer.
//!     let ticket = submission.submit("linux", &description, false);
//!     let result = ticket.job().result();
//!     let error = result.await.unwrap_err();
//!     assert_eq!(Refusal::of(&error), Some(Refusal::NoSuchPool));
//! });
//! # Ok(())
//! # }
//! ```

mod admin;
mod answer;
mod custom;
mod description;
mod details;
mod dispatch;
mod docker;
mod durable;
mod encoded;
mod error;
mod explanation;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod job;
mod jobs_admin;
mod leadership;
mod obuilder;
mod outcome;
mod overview;
mod pause_reason;
mod peer_texts;
mod phases;
mod pool_admin;
mod progress;
mod progress_status;
mod promised;
mod queue;
mod raw;
mod refusal;
mod registration;
mod rejoin;
mod secret;
mod service_kind;
mod submission;
mod text;
mod ticket;
mod weak_job;
mod web_link;
mod words;
mod worker;

#[cfg(test)]
mod tests;

pub use admin::{Admin, ServeAdmin};
pub use answer::{Answer, Pipelined};
pub use custom::{CustomJob, CustomPayload};
pub use description::{Action, Description};
pub use details::{
    ClientDetails, ConnectedWorker, InactiveReason, PoolDetails, Presence, RunningJob,
    WorkerDetails,
};
pub use docker::{DockerBuild, Dockerfile, Password};
pub use durable::{
    AttemptResult, DurableAttempt, DurableAttemptEnd, DurableDetails, DurableJob, DurableLogChunk,
    DurableOutcome, DurableStage, DurableStatus, JobPage, JobQuery, JobRequest, JobState,
    JobSummary, Label, LostAttempt, MAX_LABELS, MAX_NAME_BYTES, ReturnTimeouts, ServeDurableJob,
    Unwatched,
};
pub use encoded::{EncodedDescription, MAX_DESCRIPTION_BYTES};
pub use error::{RpcError, RpcErrorKind};
pub use explanation::{Explanation, Forecast, MAX_TICKETS, PoolExplanations, ServeExplained};
pub use job::{Job, JobPromise, JobResolver, LogChunk, ServeJob};
pub use jobs_admin::{
    AdminJobQuery, AuditEntry, AuditPage, AuditQuery, JobDetails, ListedJob, ListedJobs,
};
pub use leadership::{LeaderStatus, Standby};
pub use obuilder::OBuilderBuild;
pub use outcome::{CancelledBy, MAX_OUTPUT_BYTES, Outcome};
pub use overview::{Pause, PoolOverview, QueuedJob, WorkerNote};
pub use pause_reason::PauseReason;
pub use phases::{
    JobTimes, LogTime, LogTimesPage, MAX_KEPT_LOG_TIMES, MAX_LOG_TIMES, MAX_PHASE_NAME_BYTES,
    MAX_PHASES, Phase, PhaseKind,
};
pub use pool_admin::{NewPause, PoolAdmin, ServePoolAdmin, WorkerInfo};
pub use progress::{Progress, ServeProgress};
pub use progress_status::ProgressStatus;
pub use queue::{PopError, Queue, ServeQueue};
pub use refusal::{Refusal, TicketEnd, UnknownName};
pub use registration::{Registration, ServeRegistration};
pub use rejoin::{
    AttemptName, HeldAttempt, HeldState, MAX_HELD_ATTEMPTS, PoppedJob, Rejoined, ReturningWorker,
};
pub use secret::{Secret, SecretValue};
pub use service_kind::ServiceKind;
pub use submission::{ServeSubmission, Submission};
pub use ticket::{ServeTicket, Ticket, TicketStatus};
pub use weak_job::WeakJob;
pub use web_link::WebLink;
pub use worker::{MAX_METRICS_BYTES, Metric, MetricsSource, ServeWorker, Worker};
