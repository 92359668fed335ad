//! Docker builds, run by the `docker` command.
//!
//! A build ends with its command: if the job is cancelled or the worker dies, the engine notices that the connection is
//! closed, and stops the build. So to cancel a build, the worker stops the command, and then makes sure that the build
//! has ended: see `containers`.

mod checks;
mod commands;
mod containers;
mod dockerfile;
mod engine;
mod frontend;
pub(crate) mod fuzzing;
mod images;
mod instructions;
mod job_kind;
mod push;
mod pusher;
mod room;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cgroup::MemoryWatch;
use cluster_api::{Description, DockerBuild, Secret};
use futures::future::{FutureExt as _, LocalBoxFuture};
use job_rules::{DockerMistake, check_docker_build};
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{AdmittedBuild, AnyBuild, Backend, Executor, Fitness, NoRoom};
use crate::cancel::Cancel;
use crate::disk::{FreeThreshold, Gigabytes};
use crate::log::{JobLog, StepFormat};
use crate::metrics::Stats;
use crate::outcome::JobError;
use crate::process::{Environment, ProcessError, Processes};

use commands::{Build, Docker};
use dockerfile::DockerfileError;
use engine::Engine;
use frontend::{FrontendError, Frontends};
use images::{BadImage, Images};
use push::{PushError, PushRequest};
use pusher::Pusher;
use room::{Limits, Room};

/// How a worker uses Docker.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerConfig {
    /// The program to run: a name to look up in `PATH`, or a path.
    pub command: OsString,
    /// When to pull newer base images.
    pub pull: PullPolicy,
    /// How much of the engine's file system must be free. `None`: not checked.
    pub prune_threshold: Option<FreeThreshold>,
    /// How much space images, containers and the build cache may take together. Only checked without `prune_threshold`.
    pub max_df_size: Option<Gigabytes>,
    /// The BuildKit frontends that jobs may use besides the engine's own: repositories, or images.
    pub frontends: Vec<String>,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            command: "docker".into(),
            pull: PullPolicy::default(),
            prune_threshold: None,
            max_df_size: None,
            frontends: Vec::new(),
        }
    }
}

/// When a build pulls its base images from their registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// For every build, so that it uses the newest images.
    #[default]
    Always,
    /// Only if they are missing.
    Missing,
    /// Never. A build that needs an image that is not present fails at once, if its Dockerfile shows which images it
    /// needs.
    Never,
}

/// Why a Docker job cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BadBuild {
    #[error(transparent)]
    Mistake(#[from] DockerMistake),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Dockerfile(#[from] DockerfileError),
    #[error(transparent)]
    Frontend(#[from] FrontendError),
    #[error(transparent)]
    Image(#[from] BadImage),
}

impl From<BadBuild> for JobError {
    fn from(error: BadBuild) -> Self {
        Self::failed(error.to_string())
    }
}

/// Runs Docker builds.
pub(crate) struct DockerExecutor {
    docker: Docker,
    engine: Engine,
    processes: Processes,
    pull: PullPolicy,
    frontends: Frontends,
    /// The limits of each command of a build, as far as the engine can enforce them.
    limits: cgroup::Limits,
    /// Repositories that images may be pushed to.
    allow_push: Vec<String>,
    /// The directory for files that must not be in a job's source.
    tmp: PathBuf,
    pusher: Pusher,
    room: Room,
    stats: Rc<Stats>,
}

impl DockerExecutor {
    pub(crate) fn new(
        config: &DockerConfig,
        allow_push: Vec<String>,
        state_dir: &Path,
        environment: Environment,
        processes: Processes,
        stats: Rc<Stats>,
    ) -> Self {
        let DockerConfig {
            command,
            pull,
            prune_threshold,
            max_df_size,
            frontends,
        } = config.clone();
        let docker = Docker {
            command,
            environment,
        };
        let limits = Limits {
            prune_threshold,
            max_df_size,
        };
        let room = Room::new(docker.clone(), processes.clone(), Rc::clone(&stats), limits);
        let pusher = Pusher {
            docker: docker.clone(),
            processes: processes.clone(),
            stats: Rc::clone(&stats),
            backoff: pusher::backoff,
            busy: Mutex::new(()),
        };
        let tmp = state_dir.join("tmp");
        Self {
            engine: Engine::new(docker.clone(), processes.clone()),
            docker,
            processes,
            pull,
            frontends: Frontends::new(&frontends),
            limits: cgroup::Limits::default(),
            allow_push,
            tmp,
            pusher,
            room,
            stats,
        }
    }

    /// Returns this executor with limits for the commands of builds, and logs which ones the engine cannot enforce.
    pub(crate) fn with_limits(mut self, limits: &cgroup::Limits) -> Self {
        let is_usual = limits
            .pids
            .is_none_or(|pids| pids == cgroup::PidLimit::DEFAULT);
        if limits.memory.is_some() || limits.cpus.is_some() || !is_usual {
            tracing::warn!(
                "--job-memory and --job-cpus do not apply to Docker jobs that use BuildKit, and --job-pids applies to \
                 no Docker jobs; limit the engine's own service for these"
            );
        }
        self.limits = *limits;
        self
    }

    /// Returns this executor for a worker that may lack an engine if `is_optional`: one that runs jobs of other kinds.
    pub(crate) fn optional(mut self, is_optional: bool) -> Self {
        self.engine = self.engine.optional(is_optional);
        self
    }

    /// Checks a build, and returns what to push.
    fn check<'a>(
        &self,
        build: &'a DockerBuild,
        secrets: &[Secret],
    ) -> Result<Option<PushRequest<'a>>, BadBuild> {
        check_docker_build(build, secrets)?;
        Ok(PushRequest::of(build, &self.allow_push)?)
    }

    async fn build(
        &self,
        build: &DockerBuild,
        push: Option<PushRequest<'_>>,
        secrets: &[Secret],
        source: &Path,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<String, JobError> {
        let tmp = tempfile::Builder::new()
            .prefix("build-worker-")
            .tempdir_in(&self.tmp)
            .map_err(no_tmp)?;
        let checked = self.checked_dockerfile(build, source, &tmp, log)?;
        let unique = tmp.path().file_name().unwrap_or_default().to_string_lossy();
        let host = (!build.buildkit).then(|| containers::host(&unique));
        let secrets = write_secrets(&tmp, secrets).map_err(no_tmp)?;
        let iid_file = tmp.path().join("iid");
        let command = self.docker.build(&Build {
            build_args: &checked.build_args,
            squash: build.squash,
            secrets: &secrets,
            pull: self.pull == PullPolicy::Always,
            iid_file: &iid_file,
            dockerfile: &checked.path,
            context: source,
            buildkit: build.buildkit,
            host: host.as_deref(),
            limits: &self.limits,
        });
        if self.pull != PullPolicy::Always {
            let images = Images::of(&checked.text, &checked.build_args, build.buildkit);
            images.check().map_err(BadBuild::from)?;
            self.check_base_images(&images, build.buildkit, log, cancel)
                .await?;
        }
        let memory = MemoryWatch::start();
        let steps = log.read_steps(match build.buildkit {
            true => StepFormat::BuildKit,
            false => StepFormat::Classic,
        });
        let built = self.processes.run(&command, log, cancel).await;
        drop(steps);
        if let (Err(ProcessError::Cancelled | ProcessError::Log(_)), Some(host)) = (&built, &host) {
            self.stop_build(host, log).await;
        }
        if let Err(error) = built {
            return Err(self
                .after_failure(error, host.as_deref(), &memory, log)
                .await);
        }
        let Some(push) = push else {
            return Ok(String::new());
        };
        let image = std::fs::read_to_string(&iid_file)
            .map_err(|error| JobError::failed(format!("cannot read the image's id: {error}")))?;
        let config = tmp.path().join("docker");
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&config)
            .map_err(no_tmp)?;
        self.pusher
            .push(image.trim(), &push, &config, log, cancel)
            .await
    }
}

/// A Docker build that has been admitted.
struct AdmittedDockerBuild<'a> {
    executor: &'a DockerExecutor,
    build: &'a DockerBuild,
    secrets: &'a [Secret],
    push: Option<PushRequest<'a>>,
}

impl AdmittedBuild for AdmittedDockerBuild<'_> {
    async fn run(self, source: &Path, log: &JobLog, cancel: &Cancel) -> Result<String, JobError> {
        let Self {
            executor,
            build,
            secrets,
            push,
        } = self;
        executor
            .build(build, push, secrets, source, log, cancel)
            .await
    }
}

impl Executor<DockerBuild> for DockerExecutor {
    fn admit<'a>(
        &'a self,
        build: &'a DockerBuild,
        job: &'a Description,
    ) -> Result<Box<dyn AnyBuild + 'a>, JobError> {
        let secrets = &job.secrets;
        let push = self.check(build, secrets)?;
        if self.engine.is_absent() {
            return Err(JobError::failed(
                "This worker builds no Dockerfiles: it has no Docker engine",
            ));
        }
        Ok(Box::new(AdmittedDockerBuild {
            executor: self,
            build,
            secrets,
            push,
        }))
    }
}

impl Backend for DockerExecutor {
    fn directory(&self) -> LocalBoxFuture<'_, Option<PathBuf>> {
        self.room.directory().boxed_local()
    }

    fn fitness(&self) -> Option<Fitness> {
        Some(self.engine.fitness())
    }

    fn examine(&self) -> LocalBoxFuture<'_, ()> {
        self.engine.examine().boxed_local()
    }

    fn has_room(&self) -> LocalBoxFuture<'_, bool> {
        self.room.is_enough().boxed_local()
    }

    fn make_room(&self) -> LocalBoxFuture<'_, Result<(), NoRoom>> {
        self.room.make().boxed_local()
    }
}

/// Writes each secret into a file that only the worker's user can read. Returns the ids with their files.
fn write_secrets<'a>(tmp: &TempDir, secrets: &'a [Secret]) -> io::Result<Vec<(&'a str, PathBuf)>> {
    let write = |(index, secret): (usize, &'a Secret)| {
        let path = tmp.path().join(format!("{index}.secret"));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(secret.value.expose())?;
        Ok((secret.id.as_str(), path))
    };
    secrets.iter().enumerate().map(write).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn no_tmp(error: io::Error) -> JobError {
    JobError::failed(format!("cannot write a temporary file: {error}"))
}
