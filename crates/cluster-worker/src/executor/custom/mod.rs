//! Custom jobs: their kinds are names that clients and workers agree on.
//!
//! Each kind has a [`CustomExecutor`]: one written in Rust, or a [`CustomCommand`], which runs a program.

mod command;
#[cfg(test)]
mod limit_tests;
mod running;
mod secrets;
#[cfg(test)]
mod tests;
mod user;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cluster_api::{CustomJob, Description, PhaseKind};
use futures::future::{FutureExt as _, LocalBoxFuture};

use super::{AdmittedBuild, AnyBuild, Backend, Executor, JobKind};
use crate::cancel::Cancel;
use crate::job_limits::JobGroups;
use crate::log::JobLog;
use crate::outcome::JobError;
use crate::process::{Command, Environment, Processes};

pub use command::{CUSTOM_VARIABLES, CustomCommand};
pub use running::RunningJob;
use secrets::SecretsHome;
pub use user::{CustomUser, CustomUserError};

/// The longest name of a kind, in bytes.
const MAX_KIND: usize = 100;

/// Runs the custom jobs of one kind.
///
/// All jobs of a worker run on one thread. Await slow operations, or run them on another thread.
pub trait CustomExecutor {
    /// Checks a job before its source is fetched.
    ///
    /// # Errors
    /// Why the job cannot succeed on this worker.
    fn admit(&self, job: &CustomJob, description: &Description) -> Result<(), JobError> {
        let _: (&CustomJob, &Description) = (job, description);
        Ok(())
    }

    /// Runs a job, and returns its result (a few lines; may be empty).
    ///
    /// When the job's `cancel` fires, it stops its programs before it returns [`JobError::Cancelled`].
    ///
    /// # Errors
    /// How the job failed, or that it was cancelled.
    fn run(&self, job: RunningJob<'_>) -> impl Future<Output = Result<String, JobError>>;
}

/// A [`CustomExecutor`] with its futures in boxes, so that different ones go into one map.
trait AnyExecutor {
    fn admit(&self, job: &CustomJob, description: &Description) -> Result<(), JobError>;

    fn run<'a>(&'a self, job: RunningJob<'a>) -> LocalBoxFuture<'a, Result<String, JobError>>;
}

impl<E: CustomExecutor> AnyExecutor for E {
    fn admit(&self, job: &CustomJob, description: &Description) -> Result<(), JobError> {
        CustomExecutor::admit(self, job, description)
    }

    fn run<'a>(&'a self, job: RunningJob<'a>) -> LocalBoxFuture<'a, Result<String, JobError>> {
        CustomExecutor::run(self, job).boxed_local()
    }
}

/// The kinds of custom jobs that a worker runs. Clones share their executors.
#[derive(Clone, Default)]
pub struct CustomExecutors(BTreeMap<String, Rc<dyn AnyExecutor>>);

/// Why a kind of job cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    /// The name is invalid.
    #[error(
        "invalid kind of job {0:?}: it must have 1 to 100 bytes, no spaces at its ends, and no control characters or \
         '='"
    )]
    InvalidKind(String),
    /// The kind has been added already.
    #[error("the kind of job {0:?} is given twice; give each kind once")]
    Twice(String),
    /// The text is not `KIND=COMMAND`.
    #[error("invalid value {0:?}: it must be KIND=COMMAND")]
    NotACommand(String),
    /// The command ends in the middle of a quoted word.
    #[error("a quote is not closed in the command {0:?}")]
    OpenQuote(String),
    /// The command of the kind is empty.
    #[error("the kind of job {0:?} has no command")]
    NoCommand(String),
    /// The program cannot be run.
    #[error("the kind of job {kind:?} cannot run {program:?}: {reason}")]
    NoProgram {
        /// The kind of job.
        kind: String,
        /// The program.
        program: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl CustomExecutors {
    /// Adds a kind, whose jobs are run by `executor`.
    ///
    /// # Errors
    /// When the name is invalid, or has been added already.
    pub fn add(
        &mut self,
        kind: &str,
        executor: impl CustomExecutor + 'static,
    ) -> Result<(), CustomError> {
        check_kind(kind)?;
        if self.0.contains_key(kind) {
            return Err(CustomError::Twice(kind.to_owned()));
        }
        self.0.insert(kind.to_owned(), Rc::new(executor));
        Ok(())
    }

    /// Adds a kind, whose jobs are run by a program. It is looked up at once, in the `PATH` of this environment.
    ///
    /// # Errors
    /// When there is no such program, the name is invalid, or has been added already.
    pub fn add_command(
        &mut self,
        command: CustomCommand,
        environment: &Environment,
    ) -> Result<(), CustomError> {
        let program = command.find(environment)?;
        let kind = program.kind.clone();
        self.add(&kind, program)
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the executor of a kind, or why such a job is refused.
    fn of(&self, kind: &str) -> Result<&dyn AnyExecutor, JobError> {
        let Self(kinds) = self;
        if kinds.is_empty() {
            // Upstream's error for all kinds.
            return Err(JobError::failed("Unsupported custom job"));
        }
        kinds.get(kind).map(|executor| &**executor).ok_or_else(|| {
            let shown: String = kind.chars().take(MAX_KIND).collect();
            let known: Vec<_> = kinds.keys().map(|kind| format!("{kind:?}")).collect();
            JobError::failed(format!(
                "Unsupported custom job {shown:?}: this worker runs {}",
                known.join(", ")
            ))
        })
    }
}

impl fmt::Debug for CustomExecutors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn check_kind(kind: &str) -> Result<(), CustomError> {
    let valid = (1..=MAX_KIND).contains(&kind.len())
        && kind == kind.trim()
        && !kind.contains(|c: char| c.is_control() || c == '=');
    if valid {
        Ok(())
    } else {
        Err(CustomError::InvalidKind(kind.to_owned()))
    }
}

/// What custom jobs need to run.
pub(crate) struct Tools {
    processes: Processes,
    environment: Environment,
    /// The directory for files that must not be in a job's source.
    tmp: PathBuf,
    secrets: SecretsHome,
    /// The user of the programs. `None`: the worker's own.
    user: Option<CustomUser>,
    /// `None` where groups cannot be made.
    groups: Option<JobGroups>,
}

impl Tools {
    pub(crate) fn new(
        state_dir: &Path,
        environment: Environment,
        processes: Processes,
        user: Option<CustomUser>,
        groups: Option<JobGroups>,
    ) -> Self {
        let secrets = SecretsHome::open(state_dir, &environment, user.clone());
        let environment = match &user {
            Some(user) => user.environment(&environment),
            None => environment,
        };
        Self {
            processes,
            groups,
            tmp: state_dir.join("tmp"),
            secrets,
            environment,
            user,
        }
    }

    /// Makes the user of the programs the owner of one of a job's directories.
    async fn give(&self, dir: &Path) -> Result<(), JobError> {
        let Some(user) = self.user.clone() else {
            return Ok(());
        };
        let given = dir.to_owned();
        let giving = tokio::task::spawn_blocking(move || user.give(&given)).await;
        let giving = giving.map_err(std::io::Error::other).flatten();
        giving.map_err(|error| {
            JobError::failed(format!(
                "cannot give {} to the user of custom jobs: {error}",
                dir.display()
            ))
        })
    }

    /// Returns a command that runs as the user of custom jobs.
    fn as_user(&self, command: Command) -> Command {
        match &self.user {
            Some(user) => command.changing_user(user.change(&self.environment)),
            None => command,
        }
    }
}

/// Runs custom jobs of all kinds.
pub(crate) struct CustomJobs {
    kinds: CustomExecutors,
    tools: Tools,
}

impl CustomJobs {
    pub(crate) fn new(kinds: CustomExecutors, tools: Tools) -> Self {
        Self { kinds, tools }
    }
}

/// A custom job that has been admitted.
struct AdmittedCustomJob<'a> {
    executor: &'a dyn AnyExecutor,
    tools: &'a Tools,
    job: &'a CustomJob,
    description: &'a Description,
}

impl AdmittedBuild for AdmittedCustomJob<'_> {
    async fn run(self, source: &Path, log: &JobLog, cancel: &Cancel) -> Result<String, JobError> {
        let Self {
            executor,
            tools,
            job: CustomJob { kind, payload },
            description,
        } = self;
        tools.give(source).await?;
        let groups = tools.groups.as_ref();
        let group = groups.map(|groups| groups.make("ocluster-job")).transpose();
        let group = group.map_err(|error| JobError::failed(error.to_string()))?;
        let job = RunningJob {
            kind,
            payload,
            description,
            source,
            log,
            cancel,
            tools,
            group: group.as_ref(),
        };
        let phase = log.phase(PhaseKind::Run, kind);
        let result = executor.run(job).await;
        drop(phase);
        let Some(group) = group else {
            return result;
        };
        let reached = group.reached();
        // Processes that have left the job's process group end with the job, too.
        let ended = tokio::task::spawn_blocking(|| group.end()).await;
        ended.map_err(|error| JobError::failed(format!("internal error: {error}")))?;
        match (result, reached) {
            (Err(JobError::Failed { .. }), Some(limit)) => Err(limit.into()),
            (result, _) => result,
        }
    }
}

impl Executor<CustomJob> for CustomJobs {
    fn admit<'a>(
        &'a self,
        job: &'a CustomJob,
        description: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError> {
        let executor = self.kinds.of(&job.kind)?;
        executor.admit(job, description)?;
        Ok(Box::new(AdmittedCustomJob {
            executor,
            tools: &self.tools,
            job,
            description,
        }))
    }
}

impl Backend for CustomJobs {}

impl JobKind for CustomJob {
    fn announcement(&self, _hint: &str) -> String {
        format!("Got request to build a job of kind {:?}", self.kind)
    }
}
