//! The git commands, in an environment where a repository's contents and the worker's own settings have no say.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::git_url::GitUrl;
use crate::process::{Command, Environment};

use super::CommitId;

/// All the configuration that git gets, besides that of the clone.
///
/// - No hooks, and nothing that goes on after git has returned.
/// - What is fetched is checked, but for three old mistakes that many repositories contain and that harm nobody.
/// - A server that sends nothing for ten minutes does not keep the clone from others.
const CONFIG: &str = "\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[protocol \"ext\"]
\tallow = never
[protocol \"file\"]
\tallow = never
[submodule]
\trecurse = false
[fetch]
\tfsckObjects = true
[fetch \"fsck\"]
\tbadTimezone = ignore
\tmissingSpaceBeforeDate = ignore
\tzeroPaddedFilemode = ignore
[http]
\tlowSpeedLimit = 1
\tlowSpeedTime = 600
[gc]
\tautoDetach = false
[maintenance]
\tautoDetach = false
[init]
\tdefaultBranch = master
";

/// Tells git the credentials of a job, for repositories of their group alone.
const CREDENTIALS: &str = r#"!answer() {
  [ "$1" = get ] || return 0
  path=
  while read -r line && [ -n "$line" ]; do case $line in path=*) path=${line#path=} ;; esac; done
  case $path in "$OCLUSTER_GIT_GROUP"*) printf 'username=%s\npassword=%s\n' "$OCLUSTER_GIT_USER" "$OCLUSTER_GIT_PASSWORD" ;; esac
}; answer"#;

/// Makes git commands.
#[derive(Clone)]
pub(super) struct Git {
    environment: Environment,
}

impl Git {
    /// `home` is a directory for the configuration; `clones` is where the clones are.
    pub(super) fn set_up(base: &Environment, home: &Path, clones: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(home)?;
        // Old versions look here and ignore `GIT_CONFIG_GLOBAL`.
        let config = home.join(".gitconfig");
        std::fs::write(&config, CONFIG)?;
        Ok(Self::new(base, home, &config, clones))
    }

    pub(super) fn new(base: &Environment, home: &Path, config: &Path, clones: &Path) -> Self {
        let environment = base
            .clone()
            .without("DOCKER_")
            .without("BUILD")
            .without("SSH_")
            .with("HOME", home)
            .with("GIT_CONFIG_GLOBAL", config)
            .with("GIT_CONFIG_SYSTEM", "/dev/null")
            .with("GIT_CONFIG_NOSYSTEM", "1")
            .with("GIT_ALLOW_PROTOCOL", "http:https:git")
            .with("GIT_TERMINAL_PROMPT", "0")
            .with("GIT_MERGE_AUTOEDIT", "no")
            // A clone that has lost its `.git` must not make us work on a repository around it.
            .with("GIT_CEILING_DIRECTORIES", clones);
        Self { environment }
    }

    fn command<A: Into<OsString>>(
        &self,
        label: &'static str,
        dir: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Command {
        let args = args.into_iter().map(Into::into);
        let args = [OsString::from("-C"), dir.into()].into_iter().chain(args);
        Command::new(label, "git", args, self.environment.clone())
    }

    pub(super) fn init(&self, dir: &Path, commit: &CommitId) -> Command {
        let format = commit.is_sha256().then_some("--object-format=sha256");
        let args = ["init"].into_iter().chain(format).map(OsString::from);
        let args = args.chain([dir.as_os_str().to_owned()]);
        Command::new("git-init", "git", args, self.environment.clone())
    }

    /// Adds to the configuration of a clone.
    pub(super) fn config_add(&self, dir: &Path, key: &str, value: &str) -> Command {
        self.command("git-config", dir, ["config", "--add", key, value])
    }

    /// Succeeds if the clone has the commit.
    pub(super) fn has(&self, dir: &Path, commit: &CommitId) -> Command {
        self.command("git-cat-file", dir, ["cat-file", "-e", commit.as_str()])
    }

    pub(super) fn fetch(&self, dir: &Path, url: &GitUrl) -> Command {
        let args = [
            "fetch",
            "-q",
            "--update-head-ok",
            "--recurse-submodules=no",
            "origin",
        ];
        self.authorized(url).command("git-fetch", dir, args)
    }

    /// Succeeds if the server can be reached and has the repository.
    pub(super) fn ask_server(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url)
            .command("git-ls-remote", dir, ["ls-remote", "--heads", "origin"])
    }

    pub(super) fn reset(&self, dir: &Path) -> Command {
        self.command("git-reset", dir, ["reset", "--hard"])
    }

    pub(super) fn reset_to(&self, dir: &Path, commit: &CommitId) -> Command {
        self.command("git-reset", dir, ["reset", "--hard", commit.as_str()])
    }

    /// Removes all that the commit does not have: doubly forced, as submodules of an earlier job are repositories too, which
    /// `-f` would leave in the source of this one.
    pub(super) fn clean(&self, dir: &Path) -> Command {
        self.command("git-clean", dir, ["clean", "-ffdx"])
    }

    pub(super) fn merge(&self, dir: &Path, commit: &CommitId) -> Command {
        let environment = self
            .environment
            .clone()
            .with("GIT_AUTHOR_NAME", "ocluster")
            .with("GIT_COMMITTER_NAME", "ocluster")
            .with("EMAIL", "ocluster@ocurrent.org");
        Self { environment }.command("git-merge", dir, ["merge", commit.as_str()])
    }

    pub(super) fn submodule_update(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url)
            .command("git-submodule-update", dir, ["submodule", "update"])
    }

    pub(super) fn submodule_init(&self, dir: &Path, url: &GitUrl) -> Command {
        let args = ["submodule", "update", "--init", "--recursive"];
        self.authorized(url)
            .command("git-submodule-update", dir, args)
    }

    pub(super) fn submodule_sync(&self, dir: &Path) -> Command {
        self.command("git-submodule-sync", dir, ["submodule", "sync"])
    }

    pub(super) fn submodule_deinit(&self, dir: &Path) -> Command {
        self.command(
            "git-submodule-deinit",
            dir,
            ["submodule", "deinit", "--all", "-f"],
        )
    }

    /// Copies the `.git` of a clone into the context of a job.
    pub(super) fn copy_git(&self, clone: &Path, context: &Path) -> Command {
        let args = [
            OsStr::new("-a"),
            OsStr::new("--"),
            clone.join(".git").as_os_str(),
            context.join(".git").as_os_str(),
        ]
        .map(OsStr::to_owned);
        Command::new("cp .git", "cp", args, self.environment.clone())
    }

    /// Has a job's own copy fetch branches alone, and not every pull request too.
    pub(super) fn forget_pull_requests(&self, context: &Path) -> Command {
        let args = [
            "config",
            "--unset-all",
            "remote.origin.fetch",
            "/(pull|merge-requests)/",
        ];
        self.command("git-config", context, args)
    }

    /// Returns git with the credentials of a URL, which it asks for when it meets the server that they are for: a header would
    /// go along to wherever that server redirects it.
    fn authorized(&self, url: &GitUrl) -> Self {
        let Some(credentials) = url.credentials() else {
            return self.clone();
        };
        let helper = format!("credential.{}.helper", credentials.origin);
        let environment = self
            .environment
            .clone()
            .with("GIT_CONFIG_COUNT", "2")
            .with("GIT_CONFIG_KEY_0", helper)
            .with("GIT_CONFIG_VALUE_0", CREDENTIALS)
            .with("GIT_CONFIG_KEY_1", "credential.useHttpPath")
            .with("GIT_CONFIG_VALUE_1", "true")
            .with("OCLUSTER_GIT_GROUP", &credentials.group)
            .with("OCLUSTER_GIT_USER", &credentials.user)
            .with("OCLUSTER_GIT_PASSWORD", &credentials.password);
        Self { environment }
    }
}

/// The refs that a clone follows besides branches, so that commits of pull requests are found.
pub(super) fn pull_request_refs(url: &GitUrl) -> &'static str {
    if url.is_github() {
        "+refs/pull/*:refs/remotes/pull/*"
    } else {
        "+refs/merge-requests/*/head:refs/remotes/origin/merge-requests/*"
    }
}

/// Where a clone is kept.
pub(super) fn clone_dir(clones: &Path, url: &GitUrl, commit: &CommitId) -> PathBuf {
    let suffix = if commit.is_sha256() { "-sha256" } else { "" };
    clones.join(format!("{}{suffix}", url.clone_name()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect;

    use super::Git;
    use crate::git_url::GitUrl;
    use crate::process::Environment;
    use crate::source::CommitId;

    #[test]
    fn the_commands() {
        let base = [
            ("PATH", "/bin"),
            ("DOCKER_HOST", "x"),
            ("SSH_AUTH_SOCK", "x"),
        ];
        let base = Environment::from_vars(base.map(|(k, v)| (k.into(), v.into())));
        let git = Git::new(
            &base,
            Path::new("/s/home"),
            Path::new("/s/home/.gitconfig"),
            Path::new("/s/git"),
        );
        let url = GitUrl::parse("https://bob:s3cret@example.com/group/project").unwrap();
        let commit = CommitId::parse(&"0123456789".repeat(4)).unwrap();
        let long = CommitId::parse(&"a".repeat(64)).unwrap();
        let dir = Path::new("/s/git/project-1234");
        let mut shown = String::new();
        for command in [
            git.init(dir, &commit),
            git.init(dir, &long),
            git.config_add(dir, "remote.origin.url", url.as_str()),
            git.has(dir, &commit),
            git.submodule_update(dir, &url),
            git.reset(dir),
            git.submodule_sync(dir),
            git.submodule_deinit(dir),
            git.fetch(dir, &url),
            git.ask_server(dir, &url),
            git.reset_to(dir, &commit),
            git.clean(dir),
            git.merge(dir, &commit),
            git.submodule_init(dir, &url),
            git.copy_git(dir, Path::new("/s/tmp/context")),
            git.forget_pull_requests(Path::new("/s/tmp/context")),
        ] {
            shown += &format!("{}: {command}\n", command.label());
        }
        expect![[r#"
            git-init: "git" "init" "/s/git/project-1234"
            git-init: "git" "init" "--object-format=sha256" "/s/git/project-1234"
            git-config: "git" "-C" "/s/git/project-1234" "config" "--add" "remote.origin.url" "https://example.com/group/project"
            git-cat-file: "git" "-C" "/s/git/project-1234" "cat-file" "-e" "0123456789012345678901234567890123456789"
            git-submodule-update: "git" "-C" "/s/git/project-1234" "submodule" "update"
            git-reset: "git" "-C" "/s/git/project-1234" "reset" "--hard"
            git-submodule-sync: "git" "-C" "/s/git/project-1234" "submodule" "sync"
            git-submodule-deinit: "git" "-C" "/s/git/project-1234" "submodule" "deinit" "--all" "-f"
            git-fetch: "git" "-C" "/s/git/project-1234" "fetch" "-q" "--update-head-ok" "--recurse-submodules=no" "origin"
            git-ls-remote: "git" "-C" "/s/git/project-1234" "ls-remote" "--heads" "origin"
            git-reset: "git" "-C" "/s/git/project-1234" "reset" "--hard" "0123456789012345678901234567890123456789"
            git-clean: "git" "-C" "/s/git/project-1234" "clean" "-ffdx"
            git-merge: "git" "-C" "/s/git/project-1234" "merge" "0123456789012345678901234567890123456789"
            git-submodule-update: "git" "-C" "/s/git/project-1234" "submodule" "update" "--init" "--recursive"
            cp .git: "cp" "-a" "--" "/s/git/project-1234/.git" "/s/tmp/context/.git"
            git-config: "git" "-C" "/s/tmp/context" "config" "--unset-all" "remote.origin.fetch" "/(pull|merge-requests)/"
        "#]].assert_eq(&shown);
        // The credentials go with the commands that reach the server, and nowhere else.
        expect![[r#"
            {
                "GIT_ALLOW_PROTOCOL",
                "GIT_CEILING_DIRECTORIES",
                "GIT_CONFIG_COUNT",
                "GIT_CONFIG_GLOBAL",
                "GIT_CONFIG_KEY_0",
                "GIT_CONFIG_KEY_1",
                "GIT_CONFIG_NOSYSTEM",
                "GIT_CONFIG_SYSTEM",
                "GIT_CONFIG_VALUE_0",
                "GIT_CONFIG_VALUE_1",
                "GIT_MERGE_AUTOEDIT",
                "GIT_TERMINAL_PROMPT",
                "HOME",
                "OCLUSTER_GIT_GROUP",
                "OCLUSTER_GIT_PASSWORD",
                "OCLUSTER_GIT_USER",
                "PATH",
            }
            {
                "EMAIL",
                "GIT_ALLOW_PROTOCOL",
                "GIT_AUTHOR_NAME",
                "GIT_CEILING_DIRECTORIES",
                "GIT_COMMITTER_NAME",
                "GIT_CONFIG_GLOBAL",
                "GIT_CONFIG_NOSYSTEM",
                "GIT_CONFIG_SYSTEM",
                "GIT_MERGE_AUTOEDIT",
                "GIT_TERMINAL_PROMPT",
                "HOME",
                "PATH",
            }"#]]
        .assert_eq(&format!(
            "{:#?}\n{:#?}",
            git.fetch(dir, &url).environment(),
            git.merge(dir, &commit).environment()
        ));
    }
}
