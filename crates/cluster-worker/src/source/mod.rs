//! The source of a job: commits of a git repository, checked out in a directory of the job's own.
//!
//! There is a clone for each URL, which all jobs share. A job checks out in a repository of its own, which reads the
//! clone's commits. Its `.git` is removed before the job begins, unless the job includes it.

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

use job_rules::SourceRequest;

use crate::cancel::Cancel;
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

/// Checks out sources, and keeps the clones.
pub(crate) struct Sources {
    clones: Rc<Clones>,
    tmp: PathBuf,
    git: Git,
    fetching: FetchConfig,
    processes: Processes,
}

impl Sources {
    /// Keeps clones in `<state_dir>/git` and makes contexts in `<state_dir>/tmp`. Both must be on one file system, as
    /// clones of submodules are moved between them.
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

    /// Removes clones that are beyond the limits.
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
            // The clones may be beyond their limits now.
            tokio::task::spawn_local(Rc::clone(&self.clones).prune());
        }
        Ok(context)
    }
}
