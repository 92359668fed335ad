//! The commands for a job's submodules.

use std::path::Path;

use job_rules::GitUrl;

use super::Git;
use crate::process::Command;

impl Git {
    /// Registers the submodules in a job's repository.
    pub(in crate::source) fn submodule_init(&self, dir: &Path) -> Command {
        self.command("git-submodule-init", dir, ["submodule", "init"])
    }

    pub(in crate::source) fn submodule_sync(&self, dir: &Path) -> Command {
        self.command("git-submodule-sync", dir, ["submodule", "--quiet", "sync"])
    }

    /// Prints the names and URLs of a job's submodules: for each, `submodule.NAME.url`, a line break, the URL and a
    /// zero byte.
    pub(in crate::source) fn submodule_urls(&self, dir: &Path) -> Command {
        let args = [
            "config",
            "--local",
            "-z",
            "--get-regexp",
            r"^submodule\..*\.url$",
        ];
        self.command("git-config", dir, args)
    }

    /// Fetches and checks out the submodules of a job.
    pub(in crate::source) fn submodule_update(&self, dir: &Path, url: &GitUrl) -> Command {
        let args = ["submodule", "update", "--init", "--recursive", "--progress"];
        self.authorized(url)
            .command("git-submodule-update", dir, args)
    }

    pub(in crate::source) fn submodule_deinit(&self, dir: &Path) -> Command {
        self.command(
            "git-submodule-deinit",
            dir,
            ["submodule", "deinit", "--all", "-f"],
        )
    }

    /// Prints the paths of the submodules that are checked out, each with a zero byte after it.
    pub(in crate::source) fn submodule_paths(&self, dir: &Path) -> Command {
        let print = r#"printf '%s\0' "$displaypath""#;
        let args = ["submodule", "--quiet", "foreach", "--recursive", print];
        self.command("git-submodule-foreach", dir, args)
    }
}
