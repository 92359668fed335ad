//! One checkout, in a repository of the job's own that reads the clone's commits, so that jobs do not disturb each
//! other.

use std::fs;
use std::io;
use std::path::Path;

use job_rules::{CommitId, SourceRequest};
use obuilder::store::remove_tree;
use tokio::sync::{MutexGuard, RwLockReadGuard};

use crate::log::LogError;
use crate::outcome::JobError;
use crate::process::{Command, ProcessError};

use super::clone_lock::CloneLock;
use super::clones;
use super::fetch_config::LargeFiles;
use super::git::Git;
use super::network::Network;

/// Git's exit code if there is nothing to unset or to get.
const NO_SUCH_KEY: i32 = 5;

/// Git's exit code for a merge with conflicts.
const CONFLICT: i32 = 1;

/// Whether a checkout fetched anything from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetched {
    /// The clone lacked some of it.
    Something,
    /// The clone had all of it.
    Nothing,
}

/// Why a checkout failed.
pub(super) enum Fault {
    /// The job failed: there is no such commit, it does not merge, or the server cannot be reached.
    Job(JobError),
    /// Git cannot read the clone. A new clone may work.
    Clone(JobError),
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

/// A clone that has the commits, and keeps them until this is dropped.
pub(super) struct Ready<'a> {
    pub(super) fetched: Fetched,
    /// Held if no other job may fetch into the clone meanwhile.
    pub(super) _fetching: Option<MutexGuard<'a, ()>>,
    pub(super) _content: RwLockReadGuard<'a, ()>,
}

/// A checkout for one job.
pub(super) struct Checkout<'a> {
    pub(super) git: &'a Git,
    pub(super) network: Network<'a>,
    /// The directory of the clone, which may not exist yet.
    pub(super) dir: &'a Path,
    pub(super) lock: &'a CloneLock,
    pub(super) request: &'a SourceRequest,
    pub(super) large_files: LargeFiles,
    /// The empty directory to check out in.
    pub(super) context: &'a Path,
}

impl Checkout<'_> {
    /// Checks out. If the clone is damaged, it is replaced.
    pub(super) async fn run(&self) -> Result<Fetched, JobError> {
        let removals = self.lock.removals();
        let error = match self.attempt().await {
            Ok(fetched) => return Ok(fetched),
            Err(Fault::Job(error)) => return Err(error),
            Err(Fault::Clone(error)) => error,
        };
        self.network
            .log
            .line(format_args!("{error}: trying again with a new clone"))?;
        self.remove_clone(removals).await?;
        let context = self.context.to_owned();
        self.on_disk("empty the build context", move || empty(&context))
            .await?;
        match self.attempt().await {
            Ok(_) => Ok(Fetched::Something),
            Err(Fault::Job(error) | Fault::Clone(error)) => Err(error),
        }
    }

    async fn attempt(&self) -> Result<Fetched, Fault> {
        let ready = self.make_ready().await?;
        let mut fetched = ready.fetched;
        self.check_out_commits().await?;
        // The servers of submodules may be slow.
        drop(ready);
        self.check_out_submodules().await?;
        let has_large_files = self.fetch_large_files().await?;
        let has_kept = self.keep_submodules().await?;
        self.finish().await?;
        let SourceRequest {
            repository, commit, ..
        } = self.request;
        tracing::debug!("Checked out {commit} of {repository}");
        if has_large_files || has_kept {
            fetched = Fetched::Something;
        }
        Ok(fetched)
    }

    /// Removes a damaged clone, unless another job has removed it since the number of removals was `removals`.
    async fn remove_clone(&self, removals: u64) -> Result<(), JobError> {
        let _fetching = self.wait(self.lock.fetching.lock()).await?;
        let _content = self.wait(self.lock.content.write()).await?;
        if self.lock.removals() == removals {
            self.remove_held_clone().await?;
            self.lock.removed();
        }
        Ok(())
    }

    /// Removes a clone that is not in use.
    pub(super) async fn remove_held_clone(&self) -> Result<(), JobError> {
        self.network
            .log
            .line(format_args!("Removing corrupted repository {:?}", self.dir))?;
        let removed = clones::remove(self.dir.to_owned()).await;
        removed.map_err(|error| JobError::failed(format!("cannot remove the clone: {error}")))
    }

    async fn check_out_commits(&self) -> Result<(), Fault> {
        let Self { git, context, .. } = self;
        let SourceRequest {
            commit,
            merge,
            include_git,
            ..
        } = self.request;
        if *include_git {
            self.exec(&git.copy_git(self.dir, context)).await?;
            let copied = context.join(".git");
            self.on_disk("set permissions", move || share(&copied))
                .await?;
        } else {
            self.borrow_commits().await?;
        }
        if let Err(error) = self.exec(&git.reset_to(context, commit)).await {
            return Err(self.diagnose(error, &[commit]).await?);
        }
        for other in merge {
            let merged = self
                .network
                .processes
                .run(
                    &git.merge(context, other),
                    self.network.log,
                    self.network.cancel,
                )
                .await;
            match merged {
                Ok(()) => {}
                Err(error @ ProcessError::Exit { code: CONFLICT, .. }) => {
                    return Err(JobError::from(error).into());
                }
                Err(error) => return Err(self.diagnose(error.into(), &[commit, other]).await?),
            }
        }
        Ok(())
    }

    /// Makes a repository that reads the clone's commits.
    async fn borrow_commits(&self) -> Result<(), JobError> {
        let Self {
            git,
            context,
            request,
            ..
        } = self;
        self.exec(&git.init_own(context, &request.commit)).await?;
        // For submodules whose URL is relative.
        let url = request.repository.as_str();
        self.exec(&git.config_add(context, "remote.origin.url", url))
            .await?;
        let objects = self.dir.join(".git/objects");
        let alternates = context.join(".git/objects/info/alternates");
        self.on_disk("make a repository for the job", move || {
            let mut line = objects.into_os_string().into_encoded_bytes();
            line.push(b'\n');
            fs::create_dir_all(alternates.with_file_name(""))?;
            fs::write(alternates, line)
        })
        .await
    }

    /// Determines why these commits could not be checked out: the clone is damaged if git cannot read their files.
    async fn diagnose(&self, error: JobError, commits: &[&CommitId]) -> Result<Fault, JobError> {
        if error == JobError::Cancelled {
            return Ok(Fault::Job(error));
        }
        for commit in commits {
            if self.fails(&self.git.check_commit(self.dir, commit)).await? {
                return Ok(Fault::Clone(error));
            }
        }
        Ok(Fault::Job(error))
    }

    /// Returns whether a command fails.
    pub(super) async fn fails(&self, command: &Command) -> Result<bool, JobError> {
        match self
            .network
            .processes
            .ask(command, self.network.cancel)
            .await
        {
            Ok(_) => Ok(false),
            Err(ProcessError::Exit { .. } | ProcessError::Signal { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes git's files that the job does not get.
    async fn finish(&self) -> Result<(), JobError> {
        if self.request.include_git {
            let forget = self.git.forget_pull_requests(self.context);
            let network = &self.network;
            let forgotten = network.processes.run(&forget, network.log, network.cancel);
            return match forgotten.await {
                Ok(())
                | Err(ProcessError::Exit {
                    code: NO_SUCH_KEY, ..
                }) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        let git = self.context.join(".git");
        self.on_disk("remove git's files from the source", move || {
            remove_tree(&git)
        })
        .await
    }

    pub(super) async fn exec(&self, command: &Command) -> Result<(), JobError> {
        let Network {
            processes,
            log,
            cancel,
            ..
        } = self.network;
        Ok(processes.run(command, log, cancel).await?)
    }

    /// Waits for a lock, unless the job is cancelled.
    pub(super) async fn wait<T>(&self, lock: impl Future<Output = T>) -> Result<T, JobError> {
        tokio::select! {
            biased;
            () = self.network.cancel.cancelled() => Err(JobError::Cancelled),
            locked = lock => Ok(locked),
        }
    }

    /// Runs slow operations on files, on another thread.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, JobError> {
        let done = tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other);
        done.flatten()
            .map_err(|error| JobError::failed(format!("cannot {what}: {error}")))
    }
}

/// Sets the permissions that git sets with the usual umask. An older worker may have made the clone with another one.
fn share(top: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut pending = vec![top.to_owned()];
    while let Some(path) = pending.pop() {
        let data = fs::symlink_metadata(&path)?;
        if data.is_symlink() {
            continue;
        }
        let mode = data.permissions().mode();
        let readable = mode & 0o500;
        let shared = mode | (readable >> 3) | (readable >> 6);
        if shared != mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(shared))?;
        }
        if data.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// Removes everything in a directory.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        remove_tree(&entry?.path())?;
    }
    Ok(())
}
