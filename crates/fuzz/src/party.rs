//! The peers of a scheduler that take part in conversations.

use capnp::capability::Client;
use cluster_api::{Admin, DurableJob, Registration, Submission};

use crate::parties::{self, JobEnd, WORKER};
use crate::{durable, returning};

/// A peer of a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// A client, with attached and durable jobs.
    Client,
    /// A worker that keeps nothing.
    Worker,
    /// An operator.
    Operator,
    /// A worker that returns with what it has kept.
    ReturningWorker,
    /// A client that sees one job, which was shared with it.
    Viewer,
}

impl Party {
    /// All of them. An input names one by its place here.
    pub(crate) const ALL: [Self; 5] = [
        Self::Client,
        Self::Worker,
        Self::Operator,
        Self::ReturningWorker,
        Self::Viewer,
    ];

    /// Returns the party that an input names, and its place.
    pub(crate) fn named(byte: u8) -> (usize, Self) {
        let place = usize::from(byte) % Self::ALL.len();
        (place, Self::ALL[place])
    }

    /// Acts as a legal party. `kept` is the id of a job that a worker returns with.
    pub(crate) async fn act(self, service: Client, kept: &str) {
        match self {
            Self::Client => {
                let submission = Submission::from_client(service);
                parties::client(submission.clone()).await;
                durable::client(&submission).await;
            }
            Self::Worker => {
                let registration = Registration::from_client(service);
                parties::worker(registration, WORKER, 1, JobEnd::Failure).await;
            }
            Self::Operator => {
                let admin = Admin::from_client(service);
                parties::operator(admin.clone()).await;
                durable::operator(&admin).await;
            }
            Self::ReturningWorker => {
                returning::worker(&Registration::from_client(service), kept).await;
            }
            Self::Viewer => durable::viewer(&DurableJob::from_client(service)).await,
        }
    }
}
