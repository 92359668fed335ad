//! What runs a job, by kind.

mod custom;
mod docker;
mod fitness;
mod obuilder;
mod secret_id;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use cluster_api::{Action, Description};
use futures::future::{FutureExt as _, LocalBoxFuture, ready};

use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::JobError;

pub use custom::{
    CUSTOM_VARIABLES, CustomCommand, CustomError, CustomExecutor, CustomExecutors, CustomUser,
    CustomUserError, RunningJob,
};
pub(crate) use custom::{CustomJobs, Tools};
pub(crate) use docker::fuzzing as docker_fuzzing;
pub use docker::{DockerConfig, PullPolicy};
pub(crate) use docker::{DockerExecutor, find_mistake as find_docker_mistake};
pub(crate) use fitness::{Examined, fit, other_than, unfit};
pub use fitness::{Fitness, Unfit};
pub(crate) use obuilder::{BuilderThread, OBuilderExecutor, OBuilderRefusal};
pub use obuilder::{OBuilderConfig, Upkeep};
use secret_id::is_secret_id;

/// Runs one kind of job, and keeps what its builds leave on the disk within bounds.
pub trait Executor {
    /// Returns why a job cannot succeed here, if that can be told before its source is fetched.
    fn admit(&self, job: &Description) -> Result<(), JobError> {
        let _: &Description = job;
        Ok(())
    }

    /// Runs a job that was admitted, with its source in `source`, and everything that it prints going to `log`.
    ///
    /// Ends with the job's output (the RepoId of a pushed image; usually empty). When `cancel` fires, it stops what it has
    /// started before it returns. The files in `source` are its own.
    fn run<'a>(
        &'a self,
        job: &'a Description,
        source: &'a Path,
        log: &'a JobLog,
        cancel: &'a Cancel,
    ) -> LocalBoxFuture<'a, Result<String, JobError>>;

    /// Returns whether there is enough room on the disk for another job. If that can't be told, there is.
    fn has_room(&self) -> LocalBoxFuture<'_, bool> {
        ready(true).boxed_local()
    }

    /// Returns the directory that fills up by what this executor does, if there is one and it is known.
    fn directory(&self) -> LocalBoxFuture<'_, Option<PathBuf>> {
        ready(None).boxed_local()
    }

    /// Returns what speaks against taking jobs, if this executor ever says so: then the worker takes none of any kind.
    fn fitness(&self) -> Option<Fitness> {
        None
    }

    /// Looks anew whether something speaks against taking jobs, for whoever has its [`fitness`](Self::fitness).
    fn examine(&self) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }

    /// Makes room. Called with no jobs running; being dropped, it stops.
    fn make_room(&self) -> LocalBoxFuture<'_, Result<(), NoRoom>> {
        ready(Ok(())).boxed_local()
    }
}

/// Why there is no room for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// There was too little to remove.
    #[error("Disk-space still low after pruning!")]
    StillLow,
    /// Nothing was removed.
    #[error("docker prune command failed!")]
    PruneFailed,
}

/// The executors of a worker. Clones are the same ones.
#[derive(Clone)]
pub struct Executors {
    /// Runs Docker builds.
    pub docker: Rc<dyn Executor>,
    /// Runs OBuilder builds.
    pub obuilder: Rc<dyn Executor>,
    /// Runs custom jobs.
    pub custom: Rc<dyn Executor>,
}

impl Executors {
    pub(crate) fn of(&self, action: &Action) -> &dyn Executor {
        match action {
            Action::Docker(_) => &*self.docker,
            Action::OBuilder(_) => &*self.obuilder,
            Action::Custom(_) => &*self.custom,
        }
    }

    pub(crate) fn fitness(&self) -> Vec<Fitness> {
        let said = self.all().into_iter();
        said.filter_map(Executor::fitness).collect()
    }

    pub(crate) fn all(&self) -> [&dyn Executor; 3] {
        self.named().map(|(_, executor)| executor)
    }

    /// Returns all with what they are called in metrics.
    pub(crate) fn named(&self) -> [(&'static str, &dyn Executor); 3] {
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
