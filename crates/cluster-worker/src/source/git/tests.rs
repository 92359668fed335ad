//! The command lines and their environment.

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
