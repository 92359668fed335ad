//! The git commands for a URL, for a fuzzer to check.

use std::path::{Path, PathBuf};

use job_rules::{CommitId, GitUrl};

use super::git::{Git, clone_dir};
use crate::process::Environment;
use crate::process::fuzzing::CommandLine;

/// How a worker uses the URL of a repository.
#[derive(Debug)]
pub struct GitUse {
    /// The URL as git gets it.
    pub url: String,
    /// The URL as it is shown.
    pub shown: String,
    /// The directory of the clone.
    pub clone: PathBuf,
    /// Whether the URL has credentials.
    pub is_private: bool,
    /// The commands that depend on the URL.
    pub commands: Vec<CommandLine>,
}

/// Returns what a worker with clones in `clones` would do with a URL and a commit.
///
/// # Errors
/// The line of the job's log when either is refused.
pub fn git_use(url: &str, commit: &str, clones: &Path) -> Result<GitUse, String> {
    let url = GitUrl::parse(url).map_err(|error| error.to_string())?;
    let commit = CommitId::parse(commit).map_err(|error| error.to_string())?;
    let git = Git::new(&Environment::default(), clones, clones, [clones, clones]);
    let clone = clone_dir(clones, &url, &commit);
    let commands = [
        git.config_add(&clone, "remote.origin.url", url.as_str()),
        git.fetch(&clone, &url),
        git.fetch_commit(&clone, &url, &commit),
        git.ask_server(&clone, &url),
        git.kinds(&clone, &[commit.to_string()]),
        git.reset_to(&clone, &commit),
        git.merge(&clone, &commit),
        git.submodule_update(&clone, &url),
        git.lfs_pull(&clone, &url, &clone.join("lfs")),
    ];
    Ok(GitUse {
        shown: url.to_string(),
        is_private: url.credentials().is_some(),
        commands: commands.map(Into::into).into(),
        url: url.as_str().to_owned(),
        clone,
    })
}
