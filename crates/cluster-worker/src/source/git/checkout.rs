//! The commands for a job's repository.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use job_rules::CommitId;

use super::Git;
use crate::process::Command;

impl Git {
    /// Makes a job's own repository, and prints nothing.
    pub(in crate::source) fn init_own(&self, dir: &Path, commit: &CommitId) -> Command {
        let format = commit.is_sha256().then_some("--object-format=sha256");
        let args = ["init", "-q", "--template="].into_iter().chain(format);
        let args = args.map(OsString::from).chain([dir.as_os_str().to_owned()]);
        self.run("git-init", "git", args)
    }

    pub(in crate::source) fn reset_to(&self, dir: &Path, commit: &CommitId) -> Command {
        self.command("git-reset", dir, ["reset", "--hard", commit.as_str()])
    }

    pub(in crate::source) fn merge(&self, dir: &Path, commit: &CommitId) -> Command {
        let environment = self
            .environment
            .clone()
            .with("GIT_AUTHOR_NAME", "ocluster")
            .with("GIT_COMMITTER_NAME", "ocluster")
            .with("EMAIL", "ocluster@ocurrent.org");
        Self { environment }.command("git-merge", dir, ["merge", commit.as_str()])
    }

    /// Copies the `.git` of a clone into the context of a job.
    pub(in crate::source) fn copy_git(&self, clone: &Path, context: &Path) -> Command {
        let args = [
            OsStr::new("-a"),
            OsStr::new("--"),
            clone.join(".git").as_os_str(),
            context.join(".git").as_os_str(),
        ]
        .map(OsStr::to_owned);
        self.run("cp .git", "cp", args)
    }

    /// Makes a job's own copy fetch only branches, without pull requests.
    pub(in crate::source) fn forget_pull_requests(&self, context: &Path) -> Command {
        let args = [
            "config",
            "--unset-all",
            "remote.origin.fetch",
            "/(pull|merge-requests)/",
        ];
        self.command("git-config", context, args)
    }

    /// Sets a value in a configuration file.
    pub(in crate::source) fn config_set(
        &self,
        dir: &Path,
        file: &Path,
        key: &str,
        value: &str,
    ) -> Command {
        let args = [
            "config".into(),
            "--file".into(),
            file.as_os_str().to_owned(),
        ];
        let args = args.into_iter().chain([key.into(), value.into()]);
        self.command("git-config", dir, args)
    }
}
