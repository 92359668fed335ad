//! Checks of a build beyond its description: its Dockerfile, its base images, and its end.

use std::path::{Path, PathBuf};
use std::time::Instant;

use cgroup::{MemoryKill, MemoryWatch};
use cluster_api::DockerBuild;
use tempfile::TempDir;
use visible::Elapsed;

use super::images::Images;
use super::{BadBuild, DockerExecutor, PullPolicy, containers, dockerfile, no_tmp};
use crate::cancel::Cancel;
use crate::log::JobLog;
use crate::outcome::{JobError, LimitReached};
use crate::process::ProcessError;

/// How many bytes of a log's end are read for BuildKit's report of a failure.
const REPORT_SIZE: u64 = 4096;

/// A part of BuildKit's report of every failure.
const FAILED: &str = "failed to solve";

/// A part of BuildKit's report of a command that was killed.
const KILLED: &str = "exit code: 137";

/// Returns whether the end of a log has this part of BuildKit's report.
fn reports(log: &JobLog, part: &str) -> bool {
    let end = log.recent(log.length().saturating_sub(REPORT_SIZE));
    String::from_utf8_lossy(&end).contains(part)
}

/// A Dockerfile that this worker may build.
pub(super) struct CheckedDockerfile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) build_args: Vec<String>,
}

impl DockerExecutor {
    /// Puts the Dockerfile in its place, and removes frontends that are not allowed from it and the build arguments.
    pub(super) fn checked_dockerfile(
        &self,
        build: &DockerBuild,
        source: &Path,
        tmp: &TempDir,
        log: &JobLog,
    ) -> Result<CheckedDockerfile, JobError> {
        let path = dockerfile::place(source, &build.dockerfile).map_err(BadBuild::from)?;
        let text = dockerfile::read(&path).map_err(BadBuild::from)?;
        let checked = self.frontends.check(&text, &build.build_args);
        let checked = checked.map_err(BadBuild::from)?;
        if !build.buildkit {
            // The classic builder uses no frontends. A newer `docker` may use BuildKit nevertheless, so they were
            // checked.
            return Ok(CheckedDockerfile {
                path,
                text,
                build_args: build.build_args.clone(),
            });
        }
        for ignored in &checked.ignored {
            log.line(format_args!(
                "Ignoring {ignored:?}: this worker builds with the engine's own BuildKit frontend, and those of \
                 --buildkit-frontends"
            ))?;
        }
        let (path, text) = match checked.dockerfile {
            None => (path, text),
            Some(text) => {
                let written = dockerfile::write_beside(&path, &text, tmp.path());
                (written.map_err(no_tmp)?, text)
            }
        };
        Ok(CheckedDockerfile {
            path,
            text,
            build_args: checked.build_args,
        })
    }

    /// Fails if the build would have to fetch an image that it must not fetch, or if a trigger uses another job's
    /// image.
    pub(super) async fn check_base_images(
        &self,
        images: &Images,
        buildkit: bool,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<(), JobError> {
        for image in &images.bases {
            if self.pull == PullPolicy::Never {
                self.check_is_present(image, cancel).await?;
            }
            // BuildKit does not accept ids of images.
            if buildkit {
                continue;
            }
            let triggers = self.docker.triggers(image);
            let triggers = match self.processes.ask(&triggers, cancel).await {
                Err(ProcessError::Exit { .. }) => {
                    // The build would fetch it too, but then its triggers could not be checked first.
                    log.line(format_args!("Pulling the base image {image:?}"))?;
                    let started = Instant::now();
                    self.processes
                        .run(&self.docker.pull(image), log, cancel)
                        .await?;
                    let took = Elapsed(started.elapsed());
                    log.line(format_args!("Pulled the base image {image:?} in {took}"))?;
                    self.processes.ask(&triggers, cancel).await?
                }
                asked => asked?,
            };
            let images = Images::of_triggers(&triggers);
            images.check().map_err(BadBuild::from)?;
        }
        Ok(())
    }

    /// Waits until a stopped build has ended, and logs if it has not.
    pub(super) async fn stop_build(&self, host: &str, log: &JobLog) {
        let Err(error) = containers::stop(&self.docker, &self.processes, host).await else {
            return;
        };
        tracing::error!("{error}");
        self.stats.not_stopped.set(self.stats.not_stopped.get() + 1);
        if let Err(full) = log.line(error) {
            tracing::debug!("{full}");
        }
    }

    /// Removes the containers of a failed build, and returns why it failed.
    pub(super) async fn after_failure(
        &self,
        error: ProcessError,
        host: Option<&str>,
        memory: &MemoryWatch,
        log: &JobLog,
    ) -> JobError {
        let killed_in_container = match host {
            None => false,
            Some(host) => {
                let cleaned = containers::clean_up(&self.docker, &self.processes, host).await;
                cleaned.unwrap_or_else(|error| {
                    tracing::warn!("Cannot remove the containers of a failed build: {error}");
                    false
                })
            }
        };
        if !error.has_failed() {
            return error.into();
        }
        if let (true, Some(limit)) = (killed_in_container, self.limits.memory) {
            return LimitReached::Memory(limit).into();
        }
        // The engine does not list BuildKit's containers, and the exit code of a failed build is always 1.
        let was_killed = error.is_killed() || (host.is_none() && reports(log, KILLED));
        // The classic builder exits with the code of the command; BuildKit only logs it. With some settings, `docker`
        // also uses BuildKit for jobs that did not ask for it.
        let is_classic = host.is_some() && !reports(log, FAILED);
        let exit_code = error.exit_code().filter(|_| is_classic);
        let kill = match killed_in_container {
            true => Some(MemoryKill::Counted),
            false => memory.found(None, was_killed),
        };
        match kill {
            Some(kill) => JobError::command_failed(format!("{error}: {kill}"), exit_code),
            None => JobError::command_failed(error.to_string(), exit_code),
        }
    }

    async fn check_is_present(&self, image: &str, cancel: &Cancel) -> Result<(), JobError> {
        match self
            .processes
            .ask(&self.docker.image_id(image), cancel)
            .await
        {
            Ok(_) => Ok(()),
            Err(ProcessError::Exit { .. }) => {
                // If the engine does not answer at all, this fails with the reason.
                self.processes.ask(&self.docker.root_dir(), cancel).await?;
                Err(JobError::failed(format!(
                    "image {image:?} is not present on this worker, which has --docker-pull=never"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }
}
