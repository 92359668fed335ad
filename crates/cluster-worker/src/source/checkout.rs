//! One checkout: in a repository of the job's own that reads the clone's commits, so that no two jobs are in each
//! other's way.

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

/// Git's answer if there was nothing to unset, or to get.
const NO_SUCH_KEY: i32 = 5;

/// Git's answer to a merge with conflicts.
const CONFLICT: i32 = 1;

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
    /// Git cannot read the clone. A new one may work.
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

/// The clone is there, with the commits, for as long as this is.
pub(super) struct Ready<'a> {
    pub(super) fetched: Fetched,
    /// Held if no other job may fetch into it meanwhile.
    pub(super) _fetching: Option<MutexGuard<'a, ()>>,
    pub(super) _content: RwLockReadGuard<'a, ()>,
}

/// A checkout for one job.
pub(super) struct Checkout<'a> {
    pub(super) git: &'a Git,
    pub(super) network: Network<'a>,
    /// Where the clone is, or will be.
    pub(super) dir: &'a Path,
    pub(super) lock: &'a CloneLock,
    pub(super) request: &'a SourceRequest,
    pub(super) large_files: LargeFiles,
    /// Where to check out: an empty directory.
    pub(super) context: &'a Path,
}

impl Checkout<'_> {
    /// Checks out, if need be with a new clone.
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
        // What follows may take the servers of submodules long.
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

    /// Removes a clone that is damaged, unless another job has since the number was `removals`.
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
            return Err(self.blame(error, &[commit]).await?);
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
                Err(error) => return Err(self.blame(error.into(), &[commit, other]).await?),
            }
        }
        Ok(())
    }

    /// Makes a repository that finds the clone's commits.
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

    /// Says whose fault it is that these commits could not be checked out: the clone's, if git cannot read what they
    /// consist of.
    async fn blame(&self, error: JobError, commits: &[&CommitId]) -> Result<Fault, JobError> {
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

    /// Returns whether a command fails, one that has no other answer.
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

    /// Leaves of git what the job is to see.
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
        self.on_disk("leave git out of the source", move || remove_tree(&git))
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

    /// Does something that may take the disk a while.
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

/// Gives files the permissions that git gives under the usual umask: a clone may have been made under another, by an
/// older worker.
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

/// Removes all that is in a directory.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        remove_tree(&entry?.path())?;
    }
    Ok(())
}
