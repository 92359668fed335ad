//! Runs jobs: one executor for each kind.

mod custom;
mod docker;
mod fitness;
mod job_kind;
mod obuilder;
mod pruned;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use cluster_api::{CustomJob, Description, DockerBuild, OBuilderBuild};
use futures::future::{FutureExt as _, LocalBoxFuture, ready};

use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;

pub use custom::{
    CUSTOM_VARIABLES, CustomCommand, CustomError, CustomExecutor, CustomExecutors, CustomUser,
    CustomUserError, RunningJob,
};
pub(crate) use custom::{CustomJobs, Tools};
pub(crate) use docker::DockerExecutor;
pub(crate) use docker::fuzzing as docker_fuzzing;
pub use docker::{DockerConfig, PullPolicy};
pub(crate) use fitness::{Examined, fit, other_than, unfit};
pub(crate) use fitness::{Fitness, Unfit};
pub(crate) use job_kind::JobKind;
pub(crate) use obuilder::{BuilderThread, OBuilderExecutor, OBuilderRefusal};
pub use obuilder::{OBuilderConfig, Upkeep};
pub(crate) use pruned::{PruneReports, Pruned};

/// What jobs of one kind run on, such as an engine or a store: whether it is fit for jobs, and how much room it has.
pub(crate) trait Backend {
    /// Returns whether there is enough space on the disk for another job. If it cannot be measured, this is true.
    fn has_room(&self) -> LocalBoxFuture<'_, bool> {
        ready(true).boxed_local()
    }

    /// Returns the directory that jobs of this kind fill. `None` if there is none, or it is unknown.
    fn directory(&self) -> LocalBoxFuture<'_, Option<PathBuf>> {
        ready(None).boxed_local()
    }

    /// Returns why the worker should take no jobs. While there is a reason, it takes none of any kind.
    ///
    /// `None` for a backend that is always fit.
    fn fitness(&self) -> Option<Fitness> {
        None
    }

    /// Returns what the backend prunes by itself, so that the scheduler gets to know it.
    ///
    /// `None` for a backend that does not.
    fn prune_reports(&self) -> Option<PruneReports> {
        None
    }

    /// Examines the backend, and updates its [`fitness`](Self::fitness).
    fn examine(&self) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }

    /// Frees space on the disk. Called while no job runs. Dropping the future stops it.
    fn make_room(&self) -> LocalBoxFuture<'_, Result<(), NoRoom>> {
        ready(Ok(())).boxed_local()
    }
}

/// Runs jobs of one kind, whose descriptions hold a `Build`.
pub(crate) trait Executor<Build>: Backend {
    /// Parses and checks a job, without its source. The result can be run.
    ///
    /// # Errors
    /// Why the job cannot succeed on this worker.
    fn admit<'a>(
        &'a self,
        build: &'a Build,
        job: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError>;
}

/// A build that has been admitted.
pub(crate) trait AdmittedBuild {
    /// Runs it with its source in `source` and its output in `log`.
    ///
    /// Returns the job's result (the RepoId of a pushed image; usually empty). When `cancel` fires, it stops its
    /// programs before it returns. It may change the files in `source`.
    ///
    /// # Errors
    /// How the job failed, or that it was cancelled.
    fn run(
        self,
        source: &Path,
        log: &JobLog,
        cancel: &Cancel,
    ) -> impl Future<Output = Result<String, JobError>>;
}

/// An [`AdmittedBuild`] with its future in a box, so that builds of all kinds have one type.
pub(crate) trait AnyBuild {
    fn run<'a>(
        self: Box<Self>,
        source: &'a Path,
        log: &'a JobLog,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<String, JobError>>
    where
        Self: 'a;
}

impl<Build: AdmittedBuild> AnyBuild for Build {
    fn run<'a>(
        self: Box<Self>,
        source: &'a Path,
        log: &'a JobLog,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<String, JobError>>
    where
        Self: 'a,
    {
        AdmittedBuild::run(*self, source, log, cancel).boxed_local()
    }
}

/// Why there is no room for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// There was too little to remove.
    #[error("Disk-space still low after pruning!")]
    StillLow,
    /// Nothing was removed.
    #[error("docker prune command failed!")]
    PruneFailed,
}

/// The executors of a worker. Clones share them.
#[derive(Clone)]
pub(crate) struct Executors {
    pub(crate) docker: Rc<dyn Executor<DockerBuild>>,
    pub(crate) obuilder: Rc<dyn Executor<OBuilderBuild>>,
    pub(crate) custom: Rc<dyn Executor<CustomJob>>,
}

impl Executors {
    pub(crate) fn fitness(&self) -> Vec<Fitness> {
        let backends = self.backends().into_iter();
        backends.filter_map(Backend::fitness).collect()
    }

    pub(crate) fn prune_reports(&self) -> Vec<PruneReports> {
        let backends = self.backends().into_iter();
        backends.filter_map(Backend::prune_reports).collect()
    }

    pub(crate) fn backends(&self) -> [&dyn Backend; 3] {
        self.named_backends().map(|(_, backend)| backend)
    }

    /// Returns all backends with their names in metrics.
    pub(crate) fn named_backends(&self) -> [(&'static str, &dyn Backend); 3] {
        let Self {
            docker,
            obuilder,
            custom,
        } = self;
        [
            ("docker", &**docker),
            ("obuilder", &**obuilder),
            ("custom", &**custom),
        ]
    }
}
