//! The source of a job: commits of a git repository, checked out in a directory of the job's own.
//!
//! Clones are kept, one for each URL, and shared by all jobs. A job checks out in a repository of its own, which reads
//! the clone's commits, and of which nothing is left when the job begins, unless it is to have git's files.

mod checkout;
mod clone_lock;
mod clones;
mod context;
mod fetch;
mod fetch_config;
pub(crate) mod fuzzing;
mod git;
mod large_files;
mod network;
mod progress;
mod submodules;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use cluster_api::Description;

use crate::cancel::Cancel;
use crate::git_url::{GitUrl, GitUrlError};
use crate::log::JobLog;
use crate::outcome::JobError;
use crate::process::{Environment, Processes};

use checkout::{Checkout, Fetched};
pub use clones::CloneLimits;
use clones::Clones;
pub(crate) use context::Context;
pub use fetch_config::{FetchConfig, LargeFiles};
use git::Git;
use network::Network;

/// What to check out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceRequest {
    pub(crate) repository: GitUrl,
    pub(crate) commit: CommitId,
    /// To be merged into `commit`.
    pub(crate) merge: Vec<CommitId>,
    /// Whether the job gets the `.git` directory too.
    pub(crate) include_git: bool,
}

/// Why a job's source is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Url(#[from] GitUrlError),
    #[error("commit {0:?} is not a full 40-digit hexadecimal id")]
    BadCommit(String),
    #[error("commits {0} and {1} cannot be of one repository, as their ids differ in length")]
    MixedFormats(CommitId, CommitId),
}

/// The full id of a commit: 40 hexadecimal digits, or 64 in repositories of git's newer format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitId(String);

impl CommitId {
    /// Reads a full id. Abbreviations are refused: what they mean changes as the repository grows.
    pub(crate) fn parse(text: &str) -> Result<Self, SourceError> {
        let full = [40, 64].contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !full {
            return Err(SourceError::BadCommit(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_sha256(&self) -> bool {
        self.0.len() == 64
    }
}

impl std::fmt::Display for CommitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl SourceRequest {
    /// Returns what to check out for a job. `None` if it names no commits: then its source is empty.
    pub(crate) fn of(job: &Description, include_git: bool) -> Result<Option<Self>, SourceError> {
        let Some((first, others)) = job.commits.split_first() else {
            return Ok(None);
        };
        let repository = GitUrl::parse(&job.repository)?;
        let commit = CommitId::parse(first)?;
        let merge = others
            .iter()
            .map(|id| CommitId::parse(id))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(other) = merge
            .iter()
            .find(|other| other.is_sha256() != commit.is_sha256())
        {
            return Err(SourceError::MixedFormats(commit, other.clone()));
        }
        Ok(Some(Self {
            repository,
            commit,
            merge,
            include_git,
        }))
    }
}

/// Checks out sources, and keeps the clones.
pub(crate) struct Sources {
    clones: Rc<Clones>,
    tmp: PathBuf,
    git: Git,
    fetching: FetchConfig,
    processes: Processes,
}

impl Sources {
    /// Keeps clones in `<state_dir>/git` and makes contexts in `<state_dir>/tmp`: on one file system, for clones of
    /// submodules are moved.
    pub(crate) fn open(
        state_dir: &Path,
        clone_limits: CloneLimits,
        fetching: FetchConfig,
        environment: &Environment,
        processes: Processes,
    ) -> std::io::Result<Self> {
        let (clones, tmp) = (state_dir.join("git"), state_dir.join("tmp"));
        let git = Git::set_up(environment, &state_dir.join("git-home"), [&clones, &tmp])?;
        let clones = Clones::open(clones, clone_limits)?;
        context::prepare(&tmp)?;
        Ok(Self {
            clones,
            tmp,
            git,
            fetching,
            processes,
        })
    }

    /// Removes the clones that are not worth keeping.
    pub(crate) async fn prune(&self) {
        Rc::clone(&self.clones).prune().await;
    }

    /// Makes a directory with the source of a job: an empty one if there is no request.
    pub(crate) async fn check_out(
        &self,
        request: Option<&SourceRequest>,
        log: &JobLog,
        cancel: &Cancel,
    ) -> Result<Context, JobError> {
        let context = Context::create(&self.tmp)?;
        let Some(request) = request else {
            return Ok(context);
        };
        let dir = git::clone_dir(self.clones.dir(), &request.repository, &request.commit);
        let lock = self.clones.lock(&dir);
        let checkout = Checkout {
            git: &self.git,
            network: Network::new(&self.processes, log, cancel, self.fetching),
            dir: &dir,
            lock: &lock,
            request,
            large_files: self.fetching.large_files,
            context: context.path(),
        };
        let fetched = checkout.run().await?;
        self.clones.used(&dir, fetched == Fetched::Something);
        drop(lock);
        if fetched == Fetched::Something {
            // It may have become too much now.
            tokio::task::spawn_local(Rc::clone(&self.clones).prune());
        }
        Ok(context)
    }
}
