//! A cluster as a program sees it that submits jobs.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use cluster_api::Description;
use vat::{ConnectError, SturdyRef};

use crate::connection::Connection;
use crate::places::Places;
use crate::{Job, Options, Urgency};

/// One client's access to a cluster; a clone is the same.
///
/// The connection is closed when the last clone has gone, and the last job.
#[derive(Clone)]
pub struct Cluster {
    shared: Rc<Shared>,
    urgency: Urgency,
}

/// What all jobs have in common.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) connection: Connection,
    pub(crate) places: Places,
}

impl Cluster {
    /// Returns the cluster that `sturdy_ref` gives access to. The connection is on its way.
    ///
    /// For a program that may be there before the scheduler is. Must be called within a `LocalSet`.
    pub fn new(sturdy_ref: SturdyRef, options: Options) -> Self {
        let connection =
            Connection::keep(sturdy_ref, options.dial.clone(), options.reconnect_interval);
        Self {
            urgency: options.urgency.clone(),
            shared: Rc::new(Shared {
                places: Places::new(options.max_waiting),
                connection,
                options,
            }),
        }
    }

    /// As [`new`](Self::new), and waits until the connection is there.
    ///
    /// Fails if the first attempt does, so that a wrong sturdy ref shows at once.
    pub async fn connect(
        sturdy_ref: SturdyRef,
        options: Options,
    ) -> Result<Self, Arc<ConnectError>> {
        let cluster = Self::new(sturdy_ref, options);
        cluster.shared.connection.first().await?;
        Ok(cluster)
    }

    /// Returns the same cluster, on the same connection, with another idea of what is urgent.
    #[must_use]
    pub fn with_urgency(&self, urgency: Urgency) -> Self {
        Self {
            shared: Rc::clone(&self.shared),
            urgency,
        }
    }

    /// Submits a job to a pool.
    ///
    /// Returns at once; the job goes on by itself from here, and is cancelled when it is dropped. What is wrong with
    /// it, such as an unknown pool, is how it ends. Must be called within a `LocalSet`.
    pub fn submit(&self, pool: &str, description: &Description) -> Job {
        let urgent = self.urgency.is_urgent(pool, description);
        Job::start(Rc::clone(&self.shared), pool, description, urgent)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("urgency", &self.urgency)
            .finish_non_exhaustive()
    }
}
