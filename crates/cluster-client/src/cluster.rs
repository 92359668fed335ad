//! A client's access to a cluster.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use cluster_api::Description;
use vat::{ConnectError, Session, SturdyRef};

use crate::connection::Connection;
use crate::waiting_limit::WaitingLimit;
use crate::{Job, Options, Urgency};

/// One client's access to a cluster. Clones share the connection.
///
/// The connection is closed when the last clone and the last job are dropped.
#[derive(Clone)]
pub struct Cluster {
    shared: Rc<Shared>,
    urgency: Urgency,
}

/// What all jobs share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) connection: Connection,
    pub(crate) waiting: WaitingLimit,
}

impl Cluster {
    /// Returns the cluster that `sturdy_ref` gives access to, and begins to connect to it.
    ///
    /// For a program that may start before the scheduler does. Must be called within a `LocalSet`.
    pub fn new(sturdy_ref: SturdyRef, options: Options) -> Self {
        let connection = Connection::open(sturdy_ref, &options);
        Self::over(connection, options)
    }

    fn over(connection: Connection, options: Options) -> Self {
        Self {
            urgency: options.urgency.clone(),
            shared: Rc::new(Shared {
                waiting: WaitingLimit::new(options.max_waiting),
                connection,
                options,
            }),
        }
    }

    /// Returns the cluster that `sturdy_ref` gives access to, once it is connected.
    ///
    /// # Errors
    /// When the first attempt to connect fails, so that a wrong sturdy ref shows at once.
    pub async fn connect(
        sturdy_ref: SturdyRef,
        options: Options,
    ) -> Result<Self, Arc<ConnectError>> {
        let cluster = Self::new(sturdy_ref, options);
        cluster.shared.connection.first().await?;
        Ok(cluster)
    }

    /// Returns the cluster that `sturdy_ref` gives access to, over a connection that there is already. Must be called
    /// within a `LocalSet`.
    pub fn connected(sturdy_ref: SturdyRef, session: Session, options: Options) -> Self {
        let connection = Connection::resume(sturdy_ref, session, &options);
        Self::over(connection, options)
    }

    /// Returns the same cluster, on the same connection, with another rule for urgent jobs.
    #[must_use]
    pub fn with_urgency(&self, urgency: Urgency) -> Self {
        Self {
            shared: Rc::clone(&self.shared),
            urgency,
        }
    }

    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Submits a job to a pool.
    ///
    /// Returns at once. The job needs no polling, and is cancelled when it is dropped. Whatever is wrong with it,
    /// such as an unknown pool, is the error in which it ends. Must be called within a `LocalSet`.
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
