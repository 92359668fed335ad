//! The git commands. Neither the contents of a repository nor the settings of the worker's user influence their
//! environment.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use job_rules::{CommitId, GitUrl};

use crate::process::{Command, Environment};

/// Git's whole configuration, besides that of the clone.
///
/// - No hooks, and no background processes.
/// - Fetched objects are checked, except for three old and harmless mistakes that many repositories contain.
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

/// The umask of all git commands, independent of the worker's. It is the usual one, so that builds with another user
/// can read the files, and that layers do not differ between workers.
const UMASK: &str = "022";

/// Git's credential helper. It gives the job's credentials only for repositories of their group.
const CREDENTIALS: &str = r#"!answer() {
  [ "$1" = get ] || return 0
  path=
  while read -r line && [ -n "$line" ]; do case $line in path=*) path=${line#path=} ;; esac; done
  case $path in "$OCLUSTER_GIT_GROUP"*) ;; *) return 0 ;; esac
  printf 'username=%s\npassword=%s\n' "$OCLUSTER_GIT_USER" "$OCLUSTER_GIT_PASSWORD"
}; answer"#;

/// The arguments of all fetches. Packing is a command of its own, as it needs no server.
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
    /// `home` is a directory for the configuration. The repositories are in `places`.
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
            // The worker parses some of git's output.
            .with("LC_ALL", "C.UTF-8")
            .with("GIT_MERGE_AUTOEDIT", "no")
            // If a repository has lost its `.git`, git must not use one of a parent directory.
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

    /// Makes a job's own repository, and prints nothing.
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

    /// Prints a line for each of these names: an id, its type and its size, or that it is missing.
    pub(super) fn kinds(&self, dir: &Path, names: &[String]) -> Command {
        self.command("git-cat-file", dir, ["cat-file", "--batch-check"])
            .reading(names.join("\n") + "\n")
    }

    /// Fetches the configured refs, and removes deleted branches: a branch `a` would prevent a branch `a/b`.
    pub(super) fn fetch(&self, dir: &Path, url: &GitUrl) -> Command {
        self.authorized(url).command(
            "git-fetch",
            dir,
            FETCH
                .into_iter()
                .chain(["--prune", "--update-head-ok", "origin"]),
        )
    }

    /// Fetches a commit by its id, if the server allows that, and keeps it.
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

    /// Packs fetched objects, if there are many.
    pub(super) fn pack(&self, dir: &Path) -> Command {
        self.command("git-gc", dir, ["gc", "--auto", "--quiet"])
    }

    /// Fails if the clone lacks objects that its refs lead to, or cannot be read.
    pub(super) fn check(&self, dir: &Path) -> Command {
        let args = [
            "fsck",
            "--connectivity-only",
            "--no-dangling",
            "--no-progress",
        ];
        self.command("git-fsck", dir, args)
    }

    /// Fails if the clone lacks objects that the checkout of a commit needs, or cannot be read.
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

    /// Registers the submodules in a job's repository.
    pub(super) fn submodule_init(&self, dir: &Path) -> Command {
        self.command("git-submodule-init", dir, ["submodule", "init"])
    }

    pub(super) fn submodule_sync(&self, dir: &Path) -> Command {
        self.command("git-submodule-sync", dir, ["submodule", "--quiet", "sync"])
    }

    /// Prints the names and URLs of a job's submodules: for each, `submodule.NAME.url`, a line break, the URL and a
    /// zero byte.
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

    /// Prints the paths of the submodules that are checked out, each with a zero byte after it.
    pub(super) fn submodule_paths(&self, dir: &Path) -> Command {
        let print = r#"printf '%s\0' "$displaypath""#;
        let args = ["submodule", "--quiet", "foreach", "--recursive", print];
        self.command("git-submodule-foreach", dir, args)
    }

    /// Returns whether `git-lfs` is installed.
    pub(super) fn has_lfs(&self) -> bool {
        self.environment.find_program("git-lfs".as_ref()).is_some()
    }

    /// Prints the paths of large files, each with a zero byte after it.
    pub(super) fn large_files(&self, dir: &Path) -> Command {
        self.command(
            "git-ls-files",
            dir,
            ["ls-files", "-z", ":(attr:filter=lfs)"],
        )
    }

    /// Prints the servers for large files that a commit names: for each, a key, a line break, a URL and a zero byte.
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

    /// Fetches large files into `storage`, and replaces their pointers.
    pub(super) fn lfs_pull(&self, dir: &Path, url: &GitUrl, storage: &Path) -> Command {
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

    /// Makes a job's own copy fetch only branches, without pull requests.
    pub(super) fn forget_pull_requests(&self, context: &Path) -> Command {
        let args = [
            "config",
            "--unset-all",
            "remote.origin.fetch",
            "/(pull|merge-requests)/",
        ];
        self.command("git-config", context, args)
    }

    /// Returns git with the credentials of a URL. Git asks for them when their server wants them. (A header with them
    /// would also be sent to other servers after a redirection.)
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

/// Returns the refs that a clone fetches besides branches, so that it has the commits of pull requests.
pub(super) fn pull_request_refs(url: &GitUrl) -> &'static str {
    if url.is_github() {
        "+refs/pull/*:refs/remotes/pull/*"
    } else {
        "+refs/merge-requests/*/head:refs/remotes/origin/merge-requests/*"
    }
}

/// Returns the directory of a clone.
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
    use crate::process::{Command, Environment};
    use crate::testing::wrapped;

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

    fn show(commands: impl IntoIterator<Item = Command>) -> String {
        let commands = commands.into_iter();
        commands
            .map(|command| wrapped(&format!("{}: {command}\n", command.label())))
            .collect()
    }

    #[test]
    fn commands_in_clones() {
        let (git, url, commit) = (git(), url(), commit());
        let long = CommitId::parse(&"a".repeat(64)).unwrap();
        let dir = Path::new("/s/git/project-1234");
        let commands = [
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
        ];
        expect![[r#"
            git-init: "git" "init" "/s/git/project-1234"
            git-init: "git" "init" "--object-format=sha256" "/s/git/project-1234"
            git-config: "git" "-C" "/s/git/project-1234" "config" "--add" "remote.origin.url"
                "https://example.com/group/project"
            git-cat-file: "git" "-C" "/s/git/project-1234" "cat-file" "--batch-check"
            git-fetch: "git" "-C" "/s/git/project-1234" "fetch" "--progress" "--no-auto-gc"
                "--recurse-submodules=no" "--prune" "--update-head-ok" "origin"
            git-fetch: "git" "-C" "/s/git/project-1234" "fetch" "--progress" "--no-auto-gc"
                "--recurse-submodules=no" "--no-tags" "origin"
                "+0123456789012345678901234567890123456789:refs/ocluster/0123456789012345678901234567890123456789"
            git-ls-remote: "git" "-C" "/s/git/project-1234" "ls-remote" "--heads" "origin"
            git-gc: "git" "-C" "/s/git/project-1234" "gc" "--auto" "--quiet"
            git-fsck: "git" "-C" "/s/git/project-1234" "fsck" "--connectivity-only" "--no-dangling"
                "--no-progress"
            git-archive: "git" "-C" "/s/git/project-1234" "archive" "--format=tar" "--output=/dev/null"
                "0123456789012345678901234567890123456789"
        "#]]
        .assert_eq(&show(commands));
    }

    #[test]
    fn commands_in_a_jobs_repository() {
        let (git, url, commit) = (git(), url(), commit());
        let dir = Path::new("/s/git/project-1234");
        let own = Path::new("/s/tmp/context");
        let commands = [
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
        ];
        expect![[r#"
            git-init: "git" "init" "-q" "--template=" "/s/tmp/context"
            git-reset: "git" "-C" "/s/tmp/context" "reset" "--hard"
                "0123456789012345678901234567890123456789"
            git-merge: "git" "-C" "/s/tmp/context" "merge" "0123456789012345678901234567890123456789"
            git-submodule-init: "git" "-C" "/s/tmp/context" "submodule" "init"
            git-submodule-sync: "git" "-C" "/s/tmp/context" "submodule" "--quiet" "sync"
            git-config: "git" "-C" "/s/tmp/context" "config" "--local" "-z" "--get-regexp"
                "^submodule\\..*\\.url$"
            git-config: "git" "-C" "/s/tmp/context" "config" "--file" "file" "remote.origin.url"
                "https://example.com/group/project"
            git-submodule-update: "git" "-C" "/s/tmp/context" "submodule" "update" "--init" "--recursive"
                "--progress"
            git-submodule-deinit: "git" "-C" "/s/tmp/context" "submodule" "deinit" "--all" "-f"
            git-submodule-foreach: "git" "-C" "/s/tmp/context" "submodule" "--quiet" "foreach"
                "--recursive" "printf '%s\\0' \"$displaypath\""
            git-ls-files: "git" "-C" "/s/tmp/context" "ls-files" "-z" ":(attr:filter=lfs)"
            git-config: "git" "-C" "/s/tmp/context" "config" "--file" ".lfsconfig" "-z" "--get-regexp"
                "^(lfs\\.(push)?url|remote\\..*\\.lfs(push)?url)$"
            git-lfs-pull: "git" "-C" "/s/tmp/context" "-c" "lfs.storage=/s/git/project-1234/lfs" "-c"
                "filter.lfs.clean=git-lfs clean -- %f" "-c" "filter.lfs.smudge=git-lfs smudge -- %f" "lfs"
                "pull"
            git-update-index: "git" "-C" "/s/tmp/context" "update-index" "--assume-unchanged" "-z"
                "--stdin"
            cp .git: "cp" "-a" "--" "/s/git/project-1234/.git" "/s/tmp/context/.git"
            git-config: "git" "-C" "/s/tmp/context" "config" "--unset-all" "remote.origin.fetch"
                "/(pull|merge-requests)/"
        "#]]
        .assert_eq(&show(commands));
    }

    /// Only commands that connect to the server get the credentials.
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
