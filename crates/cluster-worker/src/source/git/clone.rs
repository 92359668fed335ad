//! The commands for clones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use job_rules::{CommitId, GitUrl};

use super::Git;
use crate::process::Command;

/// The arguments of all fetches. Packing is a command of its own, as it needs no server.
const FETCH: [&str; 4] = [
    "fetch",
    "--progress",
    "--no-auto-gc",
    "--recurse-submodules=no",
];

impl Git {
    pub(in crate::source) fn init(&self, dir: &Path, commit: &CommitId) -> Command {
        let format = commit.is_sha256().then_some("--object-format=sha256");
        let args = ["init"].into_iter().chain(format).map(OsString::from);
        self.run("git-init", "git", args.chain([dir.as_os_str().to_owned()]))
    }

    /// Adds to the configuration of a clone.
    pub(in crate::source) fn config_add(&self, dir: &Path, key: &str, value: &str) -> Command {
        self.command("git-config", dir, ["config", "--add", key, value])
    }

    /// Prints a line for each of these names: an id, its type and its size, or that it is missing.
    pub(in crate::source) fn kinds(&self, dir: &Path, names: &[String]) -> Command {
        self.command("git-cat-file", dir, ["cat-file", "--batch-check"])
            .reading(names.join("\n") + "\n")
    }

    /// Fetches the configured refs, and removes deleted branches: a branch `a` would prevent a branch `a/b`.
    pub(in crate::source) fn fetch(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url).command(
            "git-fetch",
            dir,
            FETCH
                .into_iter()
                .chain(["--prune", "--update-head-ok", "origin"]),
        )
    }

    /// Fetches a commit by its id, if the server allows that, and keeps it.
    pub(in crate::source) fn fetch_commit(
        &self,
        dir: &Path,
        url: &GitUrl,
        commit: &CommitId,
    ) -> Command {
        let refs = format!("+{commit}:refs/ocluster/{commit}");
        let args = FETCH.into_iter().chain(["--no-tags", "origin"]);
        self.authorized(url)
            .command("git-fetch", dir, args.map(str::to_owned).chain([refs]))
    }

    /// Succeeds if the server can be reached and has the repository.
    pub(in crate::source) fn ask_server(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url)
            .command("git-ls-remote", dir, ["ls-remote", "--heads", "origin"])
    }

    /// Packs fetched objects, if there are many.
    pub(in crate::source) fn pack(&self, dir: &Path) -> Command {
        self.command("git-gc", dir, ["gc", "--auto", "--quiet"])
    }

    /// Fails if the clone lacks objects that its refs lead to, or cannot be read.
    pub(in crate::source) fn check(&self, dir: &Path) -> Command {
        let args = [
            "fsck",
            "--connectivity-only",
            "--no-dangling",
            "--no-progress",
        ];
        self.command("git-fsck", dir, args)
    }

    /// Fails if the clone lacks objects that the checkout of a commit needs, or cannot be read.
    pub(in crate::source) fn check_commit(&self, dir: &Path, commit: &CommitId) -> Command {
        let args = [
            "archive",
            "--format=tar",
            "--output=/dev/null",
            commit.as_str(),
        ];
        self.command("git-archive", dir, args)
    }
}

/// Returns the refs that a clone fetches besides branches, so that it has the commits of pull requests.
pub(in crate::source) fn pull_request_refs(url: &GitUrl) -> &'static str {
    if url.is_github() {
        "+refs/pull/*:refs/remotes/pull/*"
    } else {
        "+refs/merge-requests/*/head:refs/remotes/origin/merge-requests/*"
    }
}

/// Returns the directory of a clone.
pub(in crate::source) fn clone_dir(clones: &Path, url: &GitUrl, commit: &CommitId) -> PathBuf {
    let suffix = if commit.is_sha256() { "-sha256" } else { "" };
    clones.join(format!("{}{suffix}", url.clone_name()))
}
