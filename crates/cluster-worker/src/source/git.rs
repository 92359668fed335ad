//! The git commands, in an environment on which a repository's contents and the worker's own settings have no
//! influence.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use job_rules::{CommitId, GitUrl};

use crate::process::{Command, Environment};

/// All the configuration that git gets, besides that of the clone.
///
/// - No hooks, and nothing that goes on after git has returned.
/// - What is fetched is checked, but for three old mistakes that many repositories contain and that do no harm.
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
[gc]
\tautoDetach = false
[maintenance]
\tautoDetach = false
[init]
\tdefaultBranch = master
";

/// What files are made with, whatever the worker's own is: as in anybody's checkout, so that a build that has another
/// user can read them, and that layers do not differ between workers.
const UMASK: &str = "022";

/// Tells git the credentials of a job, for repositories of their group alone.
const CREDENTIALS: &str = r#"!answer() {
  [ "$1" = get ] || return 0
  path=
  while read -r line && [ -n "$line" ]; do case $line in path=*) path=${line#path=} ;; esac; done
  case $path in "$OCLUSTER_GIT_GROUP"*) printf 'username=%s\npassword=%s\n' "$OCLUSTER_GIT_USER" "$OCLUSTER_GIT_PASSWORD" ;; esac
}; answer"#;

/// How whatever is fetched is fetched: packing it is a command of its own, as that takes no server.
const FETCH: [&str; 4] = [
    "fetch",
    "--progress",
    "--no-auto-gc",
    "--recurse-submodules=no",
];

/// Makes git commands.
#[derive(Clone)]
pub(super) struct Git {
    environment: Environment,
}

impl Git {
    /// `home` is a directory for the configuration; in `places` are the repositories that git works on.
    pub(super) fn set_up(base: &Environment, home: &Path, places: [&Path; 2]) -> io::Result<Self> {
        std::fs::create_dir_all(home)?;
        // Old versions read this and ignore `GIT_CONFIG_GLOBAL`.
        let config = home.join(".gitconfig");
        std::fs::write(&config, CONFIG)?;
        Ok(Self::new(base, home, &config, places))
    }

    pub(super) fn new(base: &Environment, home: &Path, config: &Path, places: [&Path; 2]) -> Self {
        let places = places.map(Path::as_os_str).join(OsStr::new(":"));
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
            // We parse some of git's output, and jobs' logs are read elsewhere.
            .with("LC_ALL", "C.UTF-8")
            .with("GIT_MERGE_AUTOEDIT", "no")
            // A repository that has lost its `.git` must not make us work on one around it.
            .with("GIT_CEILING_DIRECTORIES", places);
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
        self.run(label, "git", args)
    }

    fn run(
        &self,
        label: &'static str,
        program: &str,
        args: impl IntoIterator<Item = OsString>,
    ) -> Command {
        Command::new(label, program, args, self.environment.clone()).with_umask(UMASK)
    }

    pub(super) fn init(&self, dir: &Path, commit: &CommitId) -> Command {
        let format = commit.is_sha256().then_some("--object-format=sha256");
        let args = ["init"].into_iter().chain(format).map(OsString::from);
        self.run("git-init", "git", args.chain([dir.as_os_str().to_owned()]))
    }

    /// Makes a job's own repository, without a word.
    pub(super) fn init_own(&self, dir: &Path, commit: &CommitId) -> Command {
        let format = commit.is_sha256().then_some("--object-format=sha256");
        let args = ["init", "-q", "--template="].into_iter().chain(format);
        let args = args.map(OsString::from).chain([dir.as_os_str().to_owned()]);
        self.run("git-init", "git", args)
    }

    /// Adds to the configuration of a clone.
    pub(super) fn config_add(&self, dir: &Path, key: &str, value: &str) -> Command {
        self.command("git-config", dir, ["config", "--add", key, value])
    }

    /// Sets a value in a configuration file.
    pub(super) fn config_set(&self, dir: &Path, file: &Path, key: &str, value: &str) -> Command {
        let args = [
            "config".into(),
            "--file".into(),
            file.as_os_str().to_owned(),
        ];
        let args = args.into_iter().chain([key.into(), value.into()]);
        self.command("git-config", dir, args)
    }

    /// Prints a line for each of these names: an id, what it is and its size, or that it is missing.
    pub(super) fn kinds(&self, dir: &Path, names: &[String]) -> Command {
        self.command("git-cat-file", dir, ["cat-file", "--batch-check"])
            .reading(names.join("\n") + "\n")
    }

    /// Fetches what the clone follows, and forgets branches that have gone: one may be in the way of another.
    pub(super) fn fetch(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url).command(
            "git-fetch",
            dir,
            FETCH
                .into_iter()
                .chain(["--prune", "--update-head-ok", "origin"]),
        )
    }

    /// Fetches a commit by its id, as far as the server allows that, and keeps it.
    pub(super) fn fetch_commit(&self, dir: &Path, url: &GitUrl, commit: &CommitId) -> Command {
        let refs = format!("+{commit}:refs/ocluster/{commit}");
        let args = FETCH.into_iter().chain(["--no-tags", "origin"]);
        self.authorized(url)
            .command("git-fetch", dir, args.map(str::to_owned).chain([refs]))
    }

    /// Succeeds if the server can be reached and has the repository.
    pub(super) fn ask_server(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url)
            .command("git-ls-remote", dir, ["ls-remote", "--heads", "origin"])
    }

    /// Packs what was fetched, if there is much of it.
    pub(super) fn pack(&self, dir: &Path) -> Command {
        self.command("git-gc", dir, ["gc", "--auto", "--quiet"])
    }

    /// Fails if the clone lacks anything that its refs lead to, or if it cannot be read.
    pub(super) fn check(&self, dir: &Path) -> Command {
        let args = [
            "fsck",
            "--connectivity-only",
            "--no-dangling",
            "--no-progress",
        ];
        self.command("git-fsck", dir, args)
    }

    /// Fails if the clone lacks anything that the checkout of a commit takes, or if it cannot be read.
    pub(super) fn check_commit(&self, dir: &Path, commit: &CommitId) -> Command {
        let args = [
            "archive",
            "--format=tar",
            "--output=/dev/null",
            commit.as_str(),
        ];
        self.command("git-archive", dir, args)
    }

    pub(super) fn reset_to(&self, dir: &Path, commit: &CommitId) -> Command {
        self.command("git-reset", dir, ["reset", "--hard", commit.as_str()])
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

    /// Notes in a job's repository which submodules it has.
    pub(super) fn submodule_init(&self, dir: &Path) -> Command {
        self.command("git-submodule-init", dir, ["submodule", "init"])
    }

    pub(super) fn submodule_sync(&self, dir: &Path) -> Command {
        self.command("git-submodule-sync", dir, ["submodule", "--quiet", "sync"])
    }

    /// Prints the names and URLs of the submodules that a job's repository has: `submodule.NAME.url`, a line break, the
    /// URL and a zero byte for each.
    pub(super) fn submodule_urls(&self, dir: &Path) -> Command {
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
    pub(super) fn submodule_update(&self, dir: &Path, url: &GitUrl) -> Command {
        let args = ["submodule", "update", "--init", "--recursive", "--progress"];
        self.authorized(url)
            .command("git-submodule-update", dir, args)
    }

    pub(super) fn submodule_deinit(&self, dir: &Path) -> Command {
        self.command(
            "git-submodule-deinit",
            dir,
            ["submodule", "deinit", "--all", "-f"],
        )
    }

    /// Prints the paths of the submodules that are checked out, with a zero byte after each.
    pub(super) fn submodule_paths(&self, dir: &Path) -> Command {
        let print = r#"printf '%s\0' "$displaypath""#;
        let args = ["submodule", "--quiet", "foreach", "--recursive", print];
        self.command("git-submodule-foreach", dir, args)
    }

    /// Returns whether there is a program for large files.
    pub(super) fn has_lfs(&self) -> bool {
        self.environment.find_program("git-lfs".as_ref()).is_some()
    }

    /// Prints the paths of large files, with a zero byte after each.
    pub(super) fn large_files(&self, dir: &Path) -> Command {
        self.command(
            "git-ls-files",
            dir,
            ["ls-files", "-z", ":(attr:filter=lfs)"],
        )
    }

    /// Prints the servers for large files that a commit names: a key, a line break, a URL and a zero byte for each.
    pub(super) fn lfs_urls(&self, dir: &Path) -> Command {
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

    /// Fetches large files into `storage`, and puts them in the place of their pointers.
    pub(super) fn lfs_pull(&self, dir: &Path, url: &GitUrl, storage: &Path) -> Command {
        let mut setting = OsString::from("lfs.storage=");
        setting.push(storage);
        let mut args = vec![OsString::from("-c"), setting];
        // Without, it puts nothing into place; and in the configuration of the repository, they would be the job's too.
        for filter in ["clean", "smudge"] {
            let setting = format!("filter.lfs.{filter}=git-lfs {filter} -- %f");
            args.extend(["-c".into(), setting.into()]);
        }
        args.extend(["lfs".into(), "pull".into()]);
        let mut git = self.authorized(url);
        git.environment = git.environment.with("GIT_LFS_FORCE_PROGRESS", "1");
        git.command("git-lfs-pull", dir, args)
    }

    /// Has git take files for unchanged, whose paths have a zero byte between each two.
    pub(super) fn assume_unchanged(&self, dir: &Path, paths: &str) -> Command {
        let args = ["update-index", "--assume-unchanged", "-z", "--stdin"];
        self.command("git-update-index", dir, args).reading(paths)
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
        self.run("cp .git", "cp", args)
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

    /// Returns git with the credentials of a URL, which it asks for when it meets the server that they are for: a
    /// header would go along to wherever that server redirects it.
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
    use job_rules::{CommitId, GitUrl};

    use super::Git;
    use crate::process::Environment;

    fn git() -> Git {
        let base = [
            ("PATH", "/bin"),
            ("DOCKER_HOST", "x"),
            ("SSH_AUTH_SOCK", "x"),
        ];
        let base = Environment::from_vars(base.map(|(k, v)| (k.into(), v.into())));
        Git::new(
            &base,
            Path::new("/s/home"),
            Path::new("/s/home/.gitconfig"),
            [Path::new("/s/git"), Path::new("/s/tmp")],
        )
    }

    fn url() -> GitUrl {
        GitUrl::parse("https://bob:s3cret@example.com/group/project").unwrap()
    }

    fn commit() -> CommitId {
        CommitId::parse(&"0123456789".repeat(4)).unwrap()
    }

    #[test]
    fn the_commands() {
        let (git, url, commit) = (git(), url(), commit());
        let long = CommitId::parse(&"a".repeat(64)).unwrap();
        let dir = Path::new("/s/git/project-1234");
        let own = Path::new("/s/tmp/context");
        let mut shown = String::new();
        for command in [
            git.init(dir, &commit),
            git.init(dir, &long),
            git.config_add(dir, "remote.origin.url", url.as_str()),
            git.kinds(dir, &[commit.to_string()]),
            git.fetch(dir, &url),
            git.fetch_commit(dir, &url, &commit),
            git.ask_server(dir, &url),
            git.pack(dir),
            git.check(dir),
            git.check_commit(dir, &commit),
            git.init_own(own, &commit),
            git.reset_to(own, &commit),
            git.merge(own, &commit),
            git.submodule_init(own),
            git.submodule_sync(own),
            git.submodule_urls(own),
            git.config_set(own, Path::new("file"), "remote.origin.url", url.as_str()),
            git.submodule_update(own, &url),
            git.submodule_deinit(own),
            git.submodule_paths(own),
            git.large_files(own),
            git.lfs_urls(own),
            git.lfs_pull(own, &url, Path::new("/s/git/project-1234/lfs")),
            git.assume_unchanged(own, "x"),
            git.copy_git(dir, own),
            git.forget_pull_requests(own),
        ] {
            shown += &format!("{}: {command}\n", command.label());
        }
        expect![[r#"
            git-init: "git" "init" "/s/git/project-1234"
            git-init: "git" "init" "--object-format=sha256" "/s/git/project-1234"
            git-config: "git" "-C" "/s/git/project-1234" "config" "--add" "remote.origin.url" "https://example.com/group/project"
            git-cat-file: "git" "-C" "/s/git/project-1234" "cat-file" "--batch-check"
            git-fetch: "git" "-C" "/s/git/project-1234" "fetch" "--progress" "--no-auto-gc" "--recurse-submodules=no" "--prune" "--update-head-ok" "origin"
            git-fetch: "git" "-C" "/s/git/project-1234" "fetch" "--progress" "--no-auto-gc" "--recurse-submodules=no" "--no-tags" "origin" "+0123456789012345678901234567890123456789:refs/ocluster/0123456789012345678901234567890123456789"
            git-ls-remote: "git" "-C" "/s/git/project-1234" "ls-remote" "--heads" "origin"
            git-gc: "git" "-C" "/s/git/project-1234" "gc" "--auto" "--quiet"
            git-fsck: "git" "-C" "/s/git/project-1234" "fsck" "--connectivity-only" "--no-dangling" "--no-progress"
            git-archive: "git" "-C" "/s/git/project-1234" "archive" "--format=tar" "--output=/dev/null" "0123456789012345678901234567890123456789"
            git-init: "git" "init" "-q" "--template=" "/s/tmp/context"
            git-reset: "git" "-C" "/s/tmp/context" "reset" "--hard" "0123456789012345678901234567890123456789"
            git-merge: "git" "-C" "/s/tmp/context" "merge" "0123456789012345678901234567890123456789"
            git-submodule-init: "git" "-C" "/s/tmp/context" "submodule" "init"
            git-submodule-sync: "git" "-C" "/s/tmp/context" "submodule" "--quiet" "sync"
            git-config: "git" "-C" "/s/tmp/context" "config" "--local" "-z" "--get-regexp" "^submodule\\..*\\.url$"
            git-config: "git" "-C" "/s/tmp/context" "config" "--file" "file" "remote.origin.url" "https://example.com/group/project"
            git-submodule-update: "git" "-C" "/s/tmp/context" "submodule" "update" "--init" "--recursive" "--progress"
            git-submodule-deinit: "git" "-C" "/s/tmp/context" "submodule" "deinit" "--all" "-f"
            git-submodule-foreach: "git" "-C" "/s/tmp/context" "submodule" "--quiet" "foreach" "--recursive" "printf '%s\\0' \"$displaypath\""
            git-ls-files: "git" "-C" "/s/tmp/context" "ls-files" "-z" ":(attr:filter=lfs)"
            git-config: "git" "-C" "/s/tmp/context" "config" "--file" ".lfsconfig" "-z" "--get-regexp" "^(lfs\\.(push)?url|remote\\..*\\.lfs(push)?url)$"
            git-lfs-pull: "git" "-C" "/s/tmp/context" "-c" "lfs.storage=/s/git/project-1234/lfs" "-c" "filter.lfs.clean=git-lfs clean -- %f" "-c" "filter.lfs.smudge=git-lfs smudge -- %f" "lfs" "pull"
            git-update-index: "git" "-C" "/s/tmp/context" "update-index" "--assume-unchanged" "-z" "--stdin"
            cp .git: "cp" "-a" "--" "/s/git/project-1234/.git" "/s/tmp/context/.git"
            git-config: "git" "-C" "/s/tmp/context" "config" "--unset-all" "remote.origin.fetch" "/(pull|merge-requests)/"
        "#]].assert_eq(&shown);
    }

    /// The credentials go with the commands that reach the server, and nowhere else.
    #[test]
    fn the_environment() {
        let (git, url, commit) = (git(), url(), commit());
        let dir = Path::new("/s/git/project-1234");
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
                "LC_ALL",
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
                "LC_ALL",
                "PATH",
            }"#]]
        .assert_eq(&format!(
            "{:#?}\n{:#?}",
            git.fetch(dir, &url).environment(),
            git.merge(dir, &commit).environment()
        ));
    }
}
