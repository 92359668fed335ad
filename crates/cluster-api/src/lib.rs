//! The wire types of OCluster, as typed handles and traits to serve them.
//!
//! Each interface of `api/schema.capnp` has a file of its own, with a *handle* by which to call it
//! ([`Job`], [`Ticket`], …) and a *trait* to serve it ([`ServeJob`], [`ServeTicket`], …).
//! `JobDescr` is the plain value [`Description`], or an [`EncodedDescription`] for whoever only
//! passes it on.
//!
//! - A method of a handle sends its call before it returns. The [`Answer`] it returns can be awaited
//!   or kept; dropping it cancels the call.
//! - Where the answer is another capability, the method returns a [`Pipelined`] handle, which can be
//!   called at once.
//! - Holding a handle keeps the object behind it going. Letting go of the last one is how a job is
//!   cancelled, a ticket given up, a worker unregistered.
//!
//! No generated type leaves this crate, and there are no sockets or files in it.

mod admin;
mod answer;
mod custom;
mod description;
mod details;
mod dispatch;
mod docker;
mod encoded;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod job;
mod obuilder;
mod outcome;
mod overview;
mod pause_reason;
mod peer_texts;
mod pool_admin;
mod progress;
mod progress_status;
mod promised;
mod queue;
mod raw;
mod refusal;
mod registration;
mod secret;
mod service_kind;
mod submission;
mod text;
mod ticket;
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
pub use encoded::{EncodedDescription, MAX_DESCRIPTION_BYTES};
pub use error::{RpcError, RpcErrorKind};
pub use job::{Job, JobPromise, JobResolver, LogChunk, ServeJob};
pub use obuilder::OBuilderBuild;
pub use outcome::{CancelledBy, MAX_OUTPUT_BYTES, Outcome};
pub use overview::{Pause, PoolOverview, QueuedJob, WorkerNote};
pub use pause_reason::PauseReason;
pub use pool_admin::{NewPause, PoolAdmin, ServePoolAdmin, WorkerInfo};
pub use progress::{Progress, ServeProgress};
pub use progress_status::ProgressStatus;
pub use queue::{PopError, Queue, ServeQueue};
pub use refusal::{Refusal, TicketEnd, UnknownName};
pub use registration::{Registration, ServeRegistration};
pub use secret::{Secret, SecretValue};
pub use service_kind::ServiceKind;
pub use submission::{ServeSubmission, Submission};
pub use ticket::{ServeTicket, Ticket, TicketStatus};
pub use worker::{MAX_METRICS_BYTES, Metric, MetricsSource, ServeWorker, Worker};
