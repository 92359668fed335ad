//! One checkout: the clone brought up to date, the commits merged in it, the files moved to their job.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cancel::Cancel;
use crate::log::{JobLog, LogError};
use crate::outcome::JobError;
use crate::process::{Command, ProcessError, Processes};

use super::clones;
use super::git::{Git, pull_request_refs};
use super::{CommitId, SourceRequest};

/// Git's answer if there was nothing to unset.
const NOTHING_TO_UNSET: i32 = 5;

/// Files that git holds while it works. As nobody else works on a clone, finding one means that git was killed.
const LOCK_FILES: [&str; 5] = [
    "index.lock",
    "HEAD.lock",
    "config.lock",
    "packed-refs.lock",
    "shallow.lock",
];

/// What a checkout had to get from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// All that its clone lacked.
    Something,
    /// The clone had the commits already.
    Nothing,
}

/// Why a checkout failed.
pub(super) enum Fault {
    /// The job's own failure: there is no such commit, it does not merge, the server is not there.
    Job(JobError),
    /// What can't fail has failed, so the clone is broken. A new one may work.
    Clone(JobError),
}

impl Fault {
    pub(super) fn into_error(self) -> JobError {
        let (Self::Job(error) | Self::Clone(error)) = self;
        error
    }
}

impl From<JobError> for Fault {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::Job(error.into())
    }
}

/// A checkout by somebody who has locked the clone.
pub(super) struct Checkout<'a> {
    pub(super) git: &'a Git,
    pub(super) processes: &'a Processes,
    /// Where the clone is, or will be.
    pub(super) dir: &'a Path,
    pub(super) request: &'a SourceRequest,
    pub(super) log: &'a JobLog,
    pub(super) cancel: &'a Cancel,
}

impl Checkout<'_> {
    /// Checks out into `context`, which is empty.
    pub(super) async fn run(&self, context: &Path) -> Result<Fetched, Fault> {
        let SourceRequest {
            repository,
            commit,
            merge,
            include_git,
        } = self.request;
        self.remove_if_corrupted().await?;
        let is_new = !self.dir.exists();
        let fetched = if is_new {
            self.clone_anew().await?;
            Fetched::Something
        } else if self.has_all().await? {
            self.log.line("All commits already cached")?;
            Fetched::Nothing
        } else {
            self.fetch(is_new).await?;
            Fetched::Something
        };
        let (git, dir) = (self.git, self.dir);
        self.tidy_submodules().await?;
        self.reset_to(commit).await?;
        self.maintain(&git.submodule_sync(dir)).await?;
        self.maintain(&git.submodule_deinit(dir)).await?;
        self.maintain(&git.clean(dir)).await?;
        for other in merge {
            self.exec(&git.merge(dir, other)).await?;
        }
        self.init_submodules().await?;
        let (from, to) = (dir.to_owned(), context.to_owned());
        self.on_disk("move the source out of the clone", move || {
            move_files(&from, &to)
        })
        .await?;
        if *include_git {
            self.exec(&git.copy_git(dir, context)).await?;
            match self
                .processes
                .run(&git.forget_pull_requests(context), self.log, self.cancel)
                .await
            {
                Ok(())
                | Err(ProcessError::Exit {
                    code: NOTHING_TO_UNSET,
                    ..
                }) => {}
                Err(error) => return Err(JobError::from(error).into()),
            }
        }
        tracing::debug!("checked out {commit} of {repository}");
        Ok(fetched)
    }

    /// Makes a clone and fetches into it. If that fails, nothing is kept: there may be no such repository.
    async fn clone_anew(&self) -> Result<(), Fault> {
        let made = async {
            self.create_clone().await?;
            self.fetch(true).await
        };
        let made = made.await;
        if made.is_err()
            && let Err(error) = clones::remove(self.dir.to_owned()).await
        {
            tracing::warn!("Cannot remove the clone {:?}: {error}", self.dir);
        }
        made
    }

    /// Removes a clone that a worker has left in the middle of something.
    async fn remove_if_corrupted(&self) -> Result<(), JobError> {
        let dir = self.dir;
        if !dir.exists() || is_intact(dir) {
            return Ok(());
        }
        self.remove_clone().await
    }

    pub(super) async fn remove_clone(&self) -> Result<(), JobError> {
        self.log
            .line(format_args!("Removing corrupted repository {:?}", self.dir))?;
        let removed = clones::remove(self.dir.to_owned()).await;
        removed.map_err(|error| JobError::failed(format!("cannot remove the clone: {error}")))
    }

    async fn create_clone(&self) -> Result<(), JobError> {
        let Self {
            git, dir, request, ..
        } = self;
        let url = &request.repository;
        self.exec(&git.init(dir, &request.commit)).await?;
        self.exec(&git.config_add(dir, "remote.origin.url", url.as_str()))
            .await?;
        for refs in [
            "+refs/heads/*:refs/remotes/origin/*",
            pull_request_refs(url),
        ] {
            self.exec(&git.config_add(dir, "remote.origin.fetch", refs))
                .await?;
        }
        Ok(())
    }

    /// Returns whether all commits are in the clone.
    async fn has_all(&self) -> Result<bool, Fault> {
        let SourceRequest { commit, merge, .. } = self.request;
        for commit in [commit].into_iter().chain(merge) {
            if !self.has(commit).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn has(&self, commit: &CommitId) -> Result<bool, Fault> {
        match self
            .processes
            .ask(&self.git.has(self.dir, commit), self.cancel)
            .await
        {
            Ok(_) => Ok(true),
            Err(ProcessError::Exit { .. }) => Ok(false),
            Err(error) => Err(JobError::from(error).into()),
        }
    }

    async fn fetch(&self, is_new: bool) -> Result<(), Fault> {
        let (git, dir, url) = (self.git, self.dir, &self.request.repository);
        if !is_new {
            self.tidy_submodules().await?;
            self.maintain(&git.reset(dir)).await?;
            self.maintain(&git.submodule_sync(dir)).await?;
            self.maintain(&git.submodule_deinit(dir)).await?;
        }
        let Err(error) = self.exec(&git.fetch(dir, url)).await else {
            return Ok(());
        };
        // If the server is well, then it's the clone: damaged, or with branches in the way of those that are there now.
        let can_be_clone = !is_new && error != JobError::Cancelled;
        if can_be_clone
            && self
                .processes
                .ask(&git.ask_server(dir, url), self.cancel)
                .await
                .is_ok()
        {
            return Err(Fault::Clone(error));
        }
        Err(error.into())
    }

    /// Brings back the submodules of the last job, so that they can be taken leave of in an orderly way.
    ///
    /// Failing is not our job's fault, and does it no harm: it has submodules of its own.
    async fn tidy_submodules(&self) -> Result<(), JobError> {
        let command = self
            .git
            .submodule_update(self.dir, &self.request.repository);
        match self.exec(&command).await {
            Err(JobError::Failed(reason)) => Ok(self.log.line(format_args!(
                "{reason}, with the submodules of an earlier job: going on"
            ))?),
            other => other,
        }
    }

    async fn reset_to(&self, commit: &CommitId) -> Result<(), Fault> {
        match self.exec(&self.git.reset_to(self.dir, commit)).await {
            Ok(()) => Ok(()),
            // The commit is there, so it's what it consists of that is not.
            Err(error @ JobError::Failed(_)) if self.has(commit).await? => Err(Fault::Clone(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches and checks out the submodules, anew if what is left of earlier jobs' submodules is in the way.
    async fn init_submodules(&self) -> Result<(), JobError> {
        let command = self.git.submodule_init(self.dir, &self.request.repository);
        let kept = self.dir.join(".git/modules");
        let had_kept = kept.exists();
        match self.exec(&command).await {
            Err(JobError::Failed(reason)) if had_kept => {
                self.log.line(format_args!(
                    "{reason}: trying again with new clones of the submodules"
                ))?;
                self.exec(&self.git.submodule_deinit(self.dir)).await?;
                self.on_disk("remove old submodules", move || fs::remove_dir_all(kept))
                    .await?;
                self.exec(&command).await
            }
            other => other,
        }
    }

    /// Runs a command that fails only if the clone is broken.
    async fn maintain(&self, command: &Command) -> Result<(), Fault> {
        self.exec(command).await.map_err(|error| match error {
            JobError::Cancelled | JobError::WorkerUnfit(_) => Fault::Job(error),
            JobError::Failed(_) | JobError::LimitReached(_) => Fault::Clone(error),
        })
    }

    async fn exec(&self, command: &Command) -> Result<(), JobError> {
        Ok(self.processes.run(command, self.log, self.cancel).await?)
    }

    /// Does something that may take the disk a while.
    async fn on_disk(
        &self,
        what: &str,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), JobError> {
        let done = tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other);
        done.flatten()
            .map_err(|error| JobError::failed(format!("cannot {what}: {error}")))
    }
}

/// Returns whether git has finished all that it has begun in a clone.
pub(super) fn is_intact(dir: &Path) -> bool {
    is_complete(dir) && !is_locked(dir)
}

/// Returns whether a clone was set up to its end.
fn is_complete(dir: &Path) -> bool {
    let config = fs::read_to_string(dir.join(".git/config")).unwrap_or_default();
    // What is configured last.
    dir.join(".git/HEAD").exists()
        && ["refs/pull/*", "refs/merge-requests/*"]
            .iter()
            .any(|refs| config.contains(refs))
}

fn is_locked(dir: &Path) -> bool {
    LOCK_FILES
        .iter()
        .any(|file| dir.join(".git").join(file).exists())
}

/// Moves everything but `.git`.
fn move_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name != ".git" {
            let there: PathBuf = to.join(&name);
            fs::rename(from.join(&name), there)?;
        }
    }
    Ok(())
}
