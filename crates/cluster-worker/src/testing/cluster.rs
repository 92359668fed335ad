//! The other ends of a worker: an uplink to a mock scheduler, and an executor whose builds end as the test decides.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use cluster_api::{Description, DockerBuild, Dockerfile};
use futures::future::{FutureExt as _, LocalBoxFuture};
use testkit::{MockConnection, MockScheduler};
pub(crate) use testkit::{docker as build, read_log};
use tokio::sync::{Notify, watch};

use crate::cancel::Cancel;
use crate::executor::{AdmittedBuild, AnyBuild, Backend, Executor, Fitness, NoRoom, Unfit};
use crate::log::JobLog;
use crate::outcome::JobError;
use crate::uplink::{Connection, NoConnection, Uplink};

/// An uplink to a scheduler in the same process.
pub(crate) struct Direct(pub(crate) Rc<MockScheduler>);

impl Uplink for Direct {
    fn connect(&self) -> LocalBoxFuture<'_, Result<Connection, NoConnection>> {
        async move {
            let MockConnection { registration, lost } = self.0.connect();
            let lost = async move {
                drop(lost.await);
                "connection closed".to_owned()
            };
            let scheduler = Rc::clone(&self.0);
            Ok(Connection {
                registration,
                lost: lost.boxed_local(),
                flushed: async move { scheduler.flushed().await }.boxed_local(),
            })
        }
        .boxed_local()
    }
}

/// An executor of Docker builds which builds nothing.
#[derive(Default)]
pub(crate) struct MockBuilder {
    outcomes: RefCell<BTreeMap<String, Result<String, JobError>>>,
    /// Notified of every decided outcome.
    decided: Notify,
    /// Whether there is no room for another build.
    pub(crate) is_full: Cell<bool>,
    /// Whether pruning makes no room.
    pub(crate) cannot_prune: Cell<bool>,
    /// How many builds are running.
    pub(crate) building: watch::Sender<usize>,
    /// Why the worker should take no jobs.
    pub(crate) unfit: watch::Sender<Option<Unfit>>,
    /// What the next examination finds.
    pub(crate) undetected: RefCell<Option<Unfit>>,
}

impl MockBuilder {
    /// Ends the build of `dockerfile`, now or when it starts.
    pub(crate) fn finish(&self, dockerfile: &str, outcome: Result<String, JobError>) {
        self.outcomes
            .borrow_mut()
            .insert(dockerfile.to_owned(), outcome);
        self.decided.notify_waiters();
    }

    async fn outcome(&self, dockerfile: &str) -> Result<String, JobError> {
        loop {
            let decided = self.decided.notified();
            if let Some(outcome) = self.outcomes.borrow().get(dockerfile) {
                return outcome.clone();
            }
            decided.await;
        }
    }
}

impl Executor<DockerBuild> for MockBuilder {
    fn admit<'a>(
        &'a self,
        build: &'a DockerBuild,
        _job: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError> {
        let Dockerfile::Contents(text) = &build.dockerfile else {
            panic!("the mock builder cannot build {build:?}");
        };
        Ok(Box::new(MockBuild {
            builder: self,
            text,
        }))
    }
}

/// A build of a [`MockBuilder`].
struct MockBuild<'a> {
    builder: &'a MockBuilder,
    text: &'a str,
}

impl AdmittedBuild for MockBuild<'_> {
    async fn run(self, source: &Path, log: &JobLog, cancel: &Cancel) -> Result<String, JobError> {
        let Self { builder, text } = self;
        assert!(source.is_dir());
        log.line(format_args!("Building {text}"))?;
        builder.building.send_modify(|building| *building += 1);
        let outcome = tokio::select! {
            () = cancel.cancelled() => Err(JobError::Cancelled),
            outcome = builder.outcome(text) => outcome,
        };
        builder.building.send_modify(|building| *building -= 1);
        outcome
    }
}

impl Backend for MockBuilder {
    fn has_room(&self) -> LocalBoxFuture<'_, bool> {
        async move { !self.is_full.get() }.boxed_local()
    }

    fn fitness(&self) -> Option<Fitness> {
        Some(self.unfit.subscribe())
    }

    fn examine(&self) -> LocalBoxFuture<'_, ()> {
        async move {
            if let Some(found) = self.undetected.take() {
                self.unfit.send_replace(Some(found));
            }
        }
        .boxed_local()
    }

    fn make_room(&self) -> LocalBoxFuture<'_, Result<(), NoRoom>> {
        async move {
            assert_eq!(*self.building.borrow(), 0, "pruning while building");
            if self.cannot_prune.get() {
                return Err(NoRoom::StillLow);
            }
            self.is_full.set(false);
            Ok(())
        }
        .boxed_local()
    }
}
