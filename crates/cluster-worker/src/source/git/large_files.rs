//! The commands for files in Git LFS.

use std::ffi::OsString;
use std::path::Path;

use job_rules::GitUrl;

use super::Git;
use crate::process::Command;

impl Git {
    /// Returns whether `git-lfs` is installed.
    pub(in crate::source) fn has_lfs(&self) -> bool {
        self.environment.find_program("git-lfs".as_ref()).is_some()
    }

    /// Prints the paths of large files, each with a zero byte after it.
    pub(in crate::source) fn large_files(&self, dir: &Path) -> Command {
        self.command(
            "git-ls-files",
            dir,
            ["ls-files", "-z", ":(attr:filter=lfs)"],
        )
    }

    /// Prints the servers for large files that a commit names: for each, a key, a line break, a URL and a zero byte.
    pub(in crate::source) fn lfs_urls(&self, dir: &Path) -> Command {
        let args = [
            "config",
            "--file",
            ".lfsconfig",
            "-z",
            "--get-regexp",
            r"^(lfs\.(push)?url|remote\..*\.lfs(push)?url)$",
        ];
        self.command("git-config", dir, args)
    }

    /// Fetches large files into `storage`, and replaces their pointers.
    pub(in crate::source) fn lfs_pull(&self, dir: &Path, url: &GitUrl, storage: &Path) -> Command {
        let mut setting = OsString::from("lfs.storage=");
        setting.push(storage);
        let mut args = vec![OsString::from("-c"), setting];
        // `git-lfs` replaces pointers only with filters. In the repository's configuration the job would get them, too.
        for filter in ["clean", "smudge"] {
            let setting = format!("filter.lfs.{filter}=git-lfs {filter} -- %f");
            args.extend(["-c".into(), setting.into()]);
        }
        args.extend(["lfs".into(), "pull".into()]);
        let mut git = self.authorized(url);
        git.environment = git.environment.with("GIT_LFS_FORCE_PROGRESS", "1");
        git.command("git-lfs-pull", dir, args)
    }

    /// Marks files as unchanged for git. Zero bytes separate their paths.
    pub(in crate::source) fn assume_unchanged(&self, dir: &Path, paths: &str) -> Command {
        let args = ["update-index", "--assume-unchanged", "-z", "--stdin"];
        self.command("git-update-index", dir, args).reading(paths)
    }
}
